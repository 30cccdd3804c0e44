"""Checks that an arm of one's own keeps the contract, and the assertions that all such checks share."""

from arms.testing.arms import check_arm

__all__ = ["check_arm"]
