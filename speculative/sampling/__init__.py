"""From logits to tokens: sampling parameters, processors, noise, samplers."""
