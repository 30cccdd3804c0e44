"""Look-up of continuations in a suffix tree of earlier text."""
