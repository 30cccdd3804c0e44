"""What the experiments of the paper share: stored traces, what chooses, tables, plots, the page."""
