"""What `bench_gpu.py` measures on a card, one part of a round a file."""
