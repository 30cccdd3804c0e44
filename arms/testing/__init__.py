"""Checks that an arm of one's own keeps the contract, and the assertions that all such checks share."""
