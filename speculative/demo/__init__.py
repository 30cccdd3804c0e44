"""The demo: the main job on real models, measured and reported."""
