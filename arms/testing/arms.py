"""The rules every arm keeps, as a check to run on your own: `check_arm(MyArm(), queries)`."""

import json
from collections.abc import Callable, Sequence

from arms.arm import Arm
from arms.observation import Observation
from arms.query import Query
from arms.testing.assertions import checked_name, global_generators_untouched, hold, instance_of

_SEED = 20


def check_arm(arm: Arm | Callable[[], Arm], queries: Sequence[Query]) -> None:
    """Check that an arm keeps the contract of `Arm` on these queries.

    Every query is pulled twice, the second time in reverse order, so that an arm that remembers earlier
    pulls is found out. Timings and costs may differ between pulls, all else may not.

    Args:
        arm: The arm to check, or what makes it.
        queries: Queries it must be able to answer; at least one, more find more.

    Raises:
        AssertionError: saying which rule was broken, where, and how.
    """
    arm = instance_of(arm, Arm, "an arm")
    hold(len(queries) > 0, "check_arm needs at least one query, got none")
    name = checked_name(arm)
    first = [_checked_pull(arm, name, query) for query in queries]
    for query, before in zip(reversed(queries), reversed(first), strict=True):
        after = _checked_pull(arm, name, query)
        for fact, value in _facts(before).items():
            again = _facts(after)[fact]
            hold(
                value == again,
                f"arm {name!r} on query {query.id!r}: the same query and seed must give the same {fact}, "
                f"got {value!r}, then {again!r}",
            )


def _checked_pull(arm: Arm, name: str, query: Query) -> Observation:
    """Pull once and check everything that one pull can show."""
    where = f"arm {name!r} on query {query.id!r}"
    query_before = query.model_dump_json()
    try:
        with global_generators_untouched(f"{where}: pull must draw from its seed; "):
            observation = arm.pull(query, _SEED)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{where}: pull must answer the query, but raised {error!r}") from error
    hold(isinstance(observation, Observation), f"{where}: pull must return an Observation, got {observation!r}")
    hold(query.model_dump_json() == query_before, f"{where}: pull must leave the query unmodified")
    hold(arm.name == name, f"{where}: the name must not change, got {arm.name!r} after a pull")
    hold(observation.arm == name, f"{where}: observation.arm must be {name!r}, got {observation.arm!r}")
    hold(
        observation.query_id == query.id,
        f"{where}: observation.query_id must be {query.id!r}, got {observation.query_id!r}",
    )
    failure = observation.failure
    hold(failure is None, f"{where}: pull must answer the query, but observed a failure: {failure}")
    limit = query.max_new_tokens
    hold(
        limit is None or observation.n_tokens <= limit,
        f"{where}: n_tokens must be <= max_new_tokens = {limit}, got {observation.n_tokens}",
    )
    stored = json.loads(json.dumps(observation.to_dict()))
    hold(
        Observation.from_dict(stored) == observation,
        f"{where}: the observation must survive to_dict, JSON and from_dict, got {stored!r}",
    )
    return observation


def _facts(observation: Observation) -> dict[str, object]:
    """Return what must not change between two pulls: everything but timings and costs."""
    reference = observation.reference
    return {
        "text": observation.text,
        "n_tokens": observation.n_tokens,
        "proposed": observation.proposed,
        "accepted": observation.accepted,
        "own_text": observation.own_text,
        "reference": None if reference is None else (reference.text, reference.n_tokens),
    }
