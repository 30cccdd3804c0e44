"""Drafts: one proposer a file."""
