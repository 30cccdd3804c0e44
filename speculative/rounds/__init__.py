"""A choice at every round: what is known before it, models that choose by it, and their worth on traced texts."""
