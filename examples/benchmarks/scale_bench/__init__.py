"""What bench_scale.py measures on logs on disk and beside peers."""
