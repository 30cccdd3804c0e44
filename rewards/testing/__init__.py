"""Checks that a reward of one's own keeps the contract."""
