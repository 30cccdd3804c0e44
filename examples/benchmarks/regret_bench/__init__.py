"""What bench_regret.py measures, one file a table."""
