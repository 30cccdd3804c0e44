"""The parts of bench_choice: collected sides, what chooses, its seconds, what each ingredient brings, the clock."""
