"""The rules every reward keeps, as a check to run on your own: `check_reward(MyReward(), observations)`."""

import math
from collections.abc import Callable, Sequence

from arms import Observation
from arms.testing.assertions import checked_name, hold, instance_of
from rewards.reward import Reward, bounds_of

# Holds the least an observation can hold: a reward values it or says what it misses.
_BARE = Observation(arm="bare_arm", query_id="bare_query", text="", n_tokens=0, seconds=0.0)
_FAILED = Observation.failed("failing_arm", "failed_query", TimeoutError("no answer"), seconds=1.0)


def check_reward(reward: Reward | Callable[[], Reward], observations: Sequence[Observation]) -> None:
    """Check that a reward keeps the contract of `Reward` on these observations.

    Every observation is valued twice, the second time in reverse order, so that a reward that remembers
    earlier calls is found out. A bare observation and a failed pull of the check's own are valued too: a reward may
    reject them, but then with a ValueError that names arm and query.

    Args:
        reward: The reward to check, or what makes it.
        observations: Observations it must be able to value; at least one, more find more.

    Raises:
        AssertionError: saying which rule was broken, where, and how.
    """
    reward = instance_of(reward, Reward, "a reward")
    hold(len(observations) > 0, "check_reward needs at least one observation, got none")
    checked_name(reward)
    low, high = _checked_bounds(reward)
    first = [_checked_value(reward, observation) for observation in observations]
    for observation, before in zip(reversed(observations), reversed(first), strict=True):
        after = _checked_value(reward, observation)
        hold(
            before == after,
            f"{reward.name} on the {observation}: must give the same value, got {before}, then {after}",
        )
        composed = 2.0 * reward - reward / 2.0 + -reward * 0.5
        hold(
            math.isclose(composed(observation), before, rel_tol=1e-9, abs_tol=1e-9),
            f"{reward.name} on the {observation}: 2 r - r / 2 - r / 2 must be r = {before}, "
            f"got {composed(observation)}",
        )
    hold(
        _checked_bounds(reward) == (low, high),
        f"{reward.name}: bounds must not change, got {(low, high)}, then {reward.bounds}",
    )
    _check_rejection(reward, _BARE, "an observation without rounds, own_text, reference, tokens and seconds")
    _check_rejection(reward, _FAILED, "a failed pull")


def _checked_bounds(reward: Reward) -> tuple[float, float]:
    try:
        bounds = bounds_of(reward)
    except TypeError as error:
        raise AssertionError(str(error)) from error
    hold(
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
    hold(observation.to_dict() == before, f"{where}: must leave the observation unmodified")
    _check_in_bounds(where, reward, value)
    return value


def _check_in_bounds(where: str, reward: Reward, value: float) -> None:
    low, high = reward.bounds
    hold(low <= value <= high, f"{where}: must stay within its bounds [{low}, {high}], got {value}")


def _check_rejection(reward: Reward, observation: Observation, what: str) -> None:
    where = f"{reward.name} on {what}"
    try:
        value = reward(observation)
    except ValueError as error:
        names_both = observation.arm in str(error) and observation.query_id in str(error)
        hold(names_both, f"{where}: the ValueError must name arm and query, got {str(error)!r}")
    except Exception as error:
        raise AssertionError(f"{where}: must give a value or a ValueError, but raised {error!r}") from error
    else:
        _check_in_bounds(where, reward, value)
