"""Checks that a policy, encoder or estimator of one's own keeps the contract."""
