"""Parts of bench_generation.py: every way to generate by the clock, at batch 1 and more, and what a pass costs."""
