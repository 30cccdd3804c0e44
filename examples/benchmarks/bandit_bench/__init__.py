"""Parts of bench_bandits.py: other libraries' bandits behind one interface, their speed and their rewards."""
