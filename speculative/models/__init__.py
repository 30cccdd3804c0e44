"""How a causal LM is loaded and computed: checkpoints, decoder, attention, 4-bit weights."""
