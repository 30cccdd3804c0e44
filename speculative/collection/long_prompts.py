"""Prompts that do not fit the target's context together with their answers."""

from collections.abc import Sequence
from typing import Literal, get_args

from arms import Query
from speculative.targets.target import Target

TooLong = Literal["refuse", "truncate", "skip"]
"""Refuse such prompts before anything is generated, cut them to their last tokens, or leave their queries out."""


def long_prompts(queries: Sequence[Query], target: Target, too_long: TooLong) -> list[str]:
    """Return the ids of the queries whose prompts do not fit; refuse them if asked to.

    Raises:
        ValueError: if a prompt is refused or none is left, there is no query, ids repeat, or the rule is unknown.
    """
    if too_long not in get_args(TooLong):
        raise ValueError(f"too_long must be one of {get_args(TooLong)}, got {too_long!r}")
    if too_long == "refuse":
        target.check(queries)
        return []
    target.check_ids(queries)
    requests = [target.request(query) for query in queries]
    found = [request.id for request in requests if target.fit(request) != request]
    if too_long == "skip" and len(found) == len(queries):
        raise ValueError(f"no prompt of {len(queries)} fits the target's context; shorten the prompts or their answers")
    return found
