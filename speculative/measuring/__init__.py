"""Time and equality: cost profiles, wall-clock runs, text comparison, the machine's facts."""
