"""Environments whose truth is known, and the count of how often an interval holds it."""
