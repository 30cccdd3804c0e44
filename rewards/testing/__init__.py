"""Checks that a reward of one's own keeps the contract."""

from rewards.testing.rewards import check_reward

__all__ = ["check_reward"]
