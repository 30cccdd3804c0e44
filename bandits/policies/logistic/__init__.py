"""Policies over logistic regression, for rewards that are 0 or 1: its Laplace posterior, LogisticUCB, LogisticTS."""
