"""The inspection of a model and the proof of its network."""
