"""NeuralLinearTS: Thompson sampling over features that a network learns, and the network's training."""
