"""The rules every reward keeps, as a check to run on your own: `check_reward(MyReward(), observations)`."""

import math
from collections.abc import Sequence

from arms import Observation
from rewards.reward import Reward

# Holds the least an observation can hold: a reward values it or says what it misses.
_BARE = Observation(arm="bare_arm", query_id="bare_query", text="", n_tokens=0, seconds=0.0)


def check_reward(reward: Reward, observations: Sequence[Observation]) -> None:
    """Check that a reward keeps the contract of `Reward` on these observations.

    Every observation is valued twice, the second time in reverse order, so that a reward that remembers
    earlier calls is found out. A bare observation of the check's own is valued too: it may be refused, but
    then with a ValueError that names its arm and query.

    Args:
        reward: The reward to check.
        observations: Observations it must be able to value; at least one, more find more.

    Raises:
        AssertionError: saying which rule was broken, where, and how.
    """
    _require(isinstance(reward, Reward), f"a reward must be an instance of Reward, got {reward!r}")
    _require(len(observations) > 0, "check_reward needs at least one observation, got none")
    _require(
        isinstance(reward.name, str) and bool(reward.name.strip()),
        f"{type(reward).__name__}.name must be a string and not blank, got {reward.name!r}",
    )
    low, high = _checked_bounds(reward)
    first = [_checked_value(reward, observation) for observation in observations]
    for observation, before in zip(reversed(observations), reversed(first), strict=True):
        after = _checked_value(reward, observation)
        _require(
            before == after,
            f"{reward.name} on the {observation}: must give the same value, got {before}, then {after}",
        )
        composed = 2.0 * reward + reward * -1.0
        _require(
            math.isclose(composed(observation), before, rel_tol=1e-9, abs_tol=1e-9),
            f"{reward.name} on the {observation}: 2 r - r must be r = {before}, got {composed(observation)}",
        )
    _require(
        _checked_bounds(reward) == (low, high),
        f"{reward.name}: bounds must not change, got {(low, high)}, then {reward.bounds}",
    )
    _check_refusal(reward)


def _checked_bounds(reward: Reward) -> tuple[float, float]:
    bounds = reward.bounds
    _require(
        isinstance(bounds, tuple)
        and len(bounds) == 2
        and all(isinstance(bound, float) for bound in bounds)
        and bounds[0] <= bounds[1],
        f"{reward.name}: bounds must be two floats (low, high) with low <= high, got {bounds!r}",
    )
    return bounds


def _checked_value(reward: Reward, observation: Observation) -> float:
    """Value once and check everything that one value can show."""
    where = f"{reward.name} on the {observation}"
    before = observation.to_dict()
    try:
        value = reward(observation)
    except Exception as error:
        raise AssertionError(f"{where}: must value the observation, but raised {error!r}") from error
    _require(observation.to_dict() == before, f"{where}: must leave the observation unmodified")
    _check_in_bounds(where, reward, value)
    return value


def _check_in_bounds(where: str, reward: Reward, value: float) -> None:
    _require(isinstance(value, float) and math.isfinite(value), f"{where}: must give a finite float, got {value!r}")
    low, high = reward.bounds
    _require(low <= value <= high, f"{where}: must stay within its bounds [{low}, {high}], got {value}")


def _check_refusal(reward: Reward) -> None:
    where = f"{reward.name} on an observation without rounds, own_text, reference, tokens and seconds"
    try:
        value = reward(_BARE)
    except ValueError as error:
        named = _BARE.arm in str(error) and _BARE.query_id in str(error)
        _require(named, f"{where}: the ValueError must name arm and query, got {str(error)!r}")
    except Exception as error:
        raise AssertionError(f"{where}: must give a value or a ValueError, but raised {error!r}") from error
    else:
        _check_in_bounds(where, reward, value)


def _require(condition: bool, message: str) -> None:
    """Raise rather than `assert`, which `python -O` would drop."""
    if not condition:
        raise AssertionError(message)
