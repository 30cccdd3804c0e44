"""Policies that learn online in a simulated environment."""
