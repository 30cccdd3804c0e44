"""Held-out value of policies: evaluate, compare, their tables and plots."""
