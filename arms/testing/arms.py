"""The rules every arm keeps, as a check to run on your own: `check_arm(MyArm(), queries)`."""

import json
import pickle
import random
from collections.abc import Sequence

import numpy as np

from arms.arm import Arm
from arms.observation import Observation
from arms.query import Query

_SEED = 20


def check_arm(arm: Arm, queries: Sequence[Query]) -> None:
    """Check that an arm keeps the contract of `Arm` on these queries.

    Every query is pulled twice, the second time in reverse order, so that an arm that remembers earlier
    pulls is found out. Timings and costs may differ between pulls, all else may not.

    Args:
        arm: The arm to check.
        queries: Queries it must be able to answer; at least one, more find more.

    Raises:
        AssertionError: saying which rule was broken, where, and how.
    """
    _require(isinstance(arm, Arm), f"an arm must be an instance of Arm, got {arm!r}")
    _require(len(queries) > 0, "check_arm needs at least one query, got none")
    name = arm.name
    _require(
        isinstance(name, str) and bool(name.strip()),
        f"{type(arm).__name__}.name must be a string and not blank, got {name!r}",
    )
    first = [_checked_pull(arm, name, query) for query in queries]
    for query, before in zip(reversed(queries), reversed(first), strict=True):
        after = _checked_pull(arm, name, query)
        for fact, value in _facts(before).items():
            again = _facts(after)[fact]
            _require(
                value == again,
                f"arm {name!r} on query {query.id!r}: the same query and seed must give the same {fact}, "
                f"got {value!r}, then {again!r}",
            )


def _checked_pull(arm: Arm, name: str, query: Query) -> Observation:
    """Pull once and check everything that one pull can show."""
    where = f"arm {name!r} on query {query.id!r}"
    query_before, generators_before = query.model_dump_json(), _global_generators()
    try:
        observation = arm.pull(query, _SEED)
    except Exception as error:
        raise AssertionError(f"{where}: pull must answer the query, but raised {error!r}") from error
    _require(isinstance(observation, Observation), f"{where}: pull must return an Observation, got {observation!r}")
    _require(query.model_dump_json() == query_before, f"{where}: pull must leave the query unmodified")
    _require(
        _global_generators() == generators_before,
        f"{where}: pull must draw from its seed, never from the global generator of random or numpy",
    )
    _require(arm.name == name, f"{where}: the name must not change, got {arm.name!r} after a pull")
    _require(observation.arm == name, f"{where}: observation.arm must be {name!r}, got {observation.arm!r}")
    _require(
        observation.query_id == query.id,
        f"{where}: observation.query_id must be {query.id!r}, got {observation.query_id!r}",
    )
    limit = query.max_new_tokens
    _require(
        limit is None or observation.n_tokens <= limit,
        f"{where}: n_tokens must be <= max_new_tokens = {limit}, got {observation.n_tokens}",
    )
    stored = json.loads(json.dumps(observation.to_dict()))
    _require(
        Observation.from_dict(stored) == observation,
        f"{where}: the observation must survive to_dict, JSON and from_dict, got {stored!r}",
    )
    return observation


def _facts(observation: Observation) -> dict[str, object]:
    """What must not change between two pulls: everything but timings and costs."""
    reference = observation.reference
    return {
        "text": observation.text,
        "n_tokens": observation.n_tokens,
        "proposed": observation.proposed,
        "accepted": observation.accepted,
        "own_text": observation.own_text,
        "reference": None if reference is None else (reference.text, reference.n_tokens),
    }


def _global_generators() -> bytes:
    # The legacy generator is read here only to prove that nobody else touched it.
    return pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002


def _require(condition: bool, message: str) -> None:
    """Raise rather than `assert`, which `python -O` would drop."""
    if not condition:
        raise AssertionError(message)
