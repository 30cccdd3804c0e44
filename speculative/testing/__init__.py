"""Checks that a draft or selector of one's own keeps the contract."""
