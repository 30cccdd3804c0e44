"""Policies over ridge regression: LinUCB, hybrid LinUCB, LinTS, SquareCB and their posterior."""
