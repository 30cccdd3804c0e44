"""What may stand for a query where a person types it: a string, chat messages, or a `Query`."""

from collections.abc import Iterable, Mapping, Sequence

from arms import Query
from arms.checks import check_order
from arms.query import UnusedIds, content_id

Prompt = str | Sequence[Mapping[str, str]] | Query


def as_query(prompt: Prompt, query_id: str = "prompt") -> Query:
    """Return the query that a prompt stands for.

    Args:
        prompt: a text, chat messages with `role` and `content`, or a query, which keeps its id.
        query_id: names the query.

    Raises:
        ValueError: if the prompt is blank, or a message lacks a role or its content.
        TypeError: if it is none of these.
    """
    if isinstance(prompt, Query):
        return prompt
    if isinstance(prompt, str):
        return Query(id=query_id, prompt=prompt)
    if not isinstance(prompt, Sequence):
        raise TypeError(f"a prompt must be a string, a list of chat messages or a Query, got {prompt!r}")
    return Query.model_validate({"id": query_id, "messages": list(prompt)})


def named_by_content(prompts: Iterable[Prompt]) -> list[Query]:
    """Return the queries that prompts stand for, each that has no id named after its text, as in a prompt file.

    Raises:
        ValueError: if a prompt is blank, or a message lacks a role or its content.
        TypeError: if one is no prompt, or a single string is given.
    """
    if isinstance(prompts, str):
        raise TypeError("prompts must be several, got one string: pass [text]")
    check_order(prompts, "prompts")
    queries: list[Query] = []
    taken: set[str] = set()
    unused = UnusedIds(taken)
    for prompt in prompts:
        query = as_query(prompt)
        if not isinstance(prompt, Query):
            query = query.model_copy(update={"id": unused.like(content_id(query))})
        taken.add(query.id)
        queries.append(query)
    return queries
