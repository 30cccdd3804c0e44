"""Lossless speculative decoding with a learned choice of draft: models, engine, drafts, selectors."""
