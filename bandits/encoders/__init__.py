"""Query to context: the encoder interface, hashing and sentence encoders."""
