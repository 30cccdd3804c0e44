"""Parts of bench_rounds.py: ablations, calibration, transfer between machines."""
