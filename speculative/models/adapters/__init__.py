"""Models of other libraries behind the engine's model interface."""
