"""The log that `--log` names, and the reward of each answer that goes there."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from speculative.cli import options
from speculative.cli.data_files import named_reward

if TYPE_CHECKING:
    from bandits import DecisionLog
    from speculative.cli.reward_log import RewardLog
    from speculative.pools.pool import Pool


@contextmanager
def opened_log(folder: Path) -> "Iterator[DecisionLog]":
    """Open a decision log for writing.

    Raises:
        ValueError: if it is damaged, or another process writes there.
    """
    from bandits import DecisionLog

    try:
        log = DecisionLog(folder)
    except RuntimeError as error:
        raise ValueError(f"--log: {error}") from error
    with log:
        yield log


def check_log_options(log: Path | None, reward: str | None, policy: Path | None) -> None:
    """Reject options that do not go together, and an unknown reward, before any model is loaded.

    Raises:
        ValueError: says what to give, or which rewards there are.
    """
    if log is not None and policy is None:
        raise ValueError("--log keeps a policy's decisions: give --policy with it")
    if reward is not None and log is None:
        raise ValueError("--reward values what --log keeps: give --log with it")
    if reward is not None:
        named_reward(reward, None)


def run_suffix(log: Path | None) -> str:
    """Return what makes a run's query ids differ from those of every other run in a log; empty without one."""
    return "" if log is None else f"-{secrets.token_hex(4)}"


@contextmanager
def opened_rewards(
    pool: "Pool", log: Path | None, reward: str | None, cache: Path | None
) -> "Iterator[RewardLog | None]":
    """Open the log of a pool's answers, each valued by a reward formula; None where no log is asked for."""
    if log is None:
        yield None
        return
    from rewards.named import DEFAULT_REWARD
    from speculative.cli.reward_log import RewardLog

    costs = options.pool_costs(pool, cache)
    with opened_log(log) as decisions:
        yield RewardLog(decisions, named_reward(reward or DEFAULT_REWARD, None), costs)
