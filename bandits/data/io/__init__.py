"""Other people's tables: long tables, pandas frames, the Open Bandit data set."""
