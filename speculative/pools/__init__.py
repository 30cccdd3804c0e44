"""A target with the arms that may help it, read from one file."""
