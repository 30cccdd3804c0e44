"""Parts of bench_generation.py: every way to generate, in wall-clock time, at batch 1 and more, and what a pass
costs.
"""
