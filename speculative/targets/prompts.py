"""What may stand for a query where a person types it: a string, chat messages, or a `Query`."""

from collections.abc import Mapping, Sequence

from arms import Query

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
