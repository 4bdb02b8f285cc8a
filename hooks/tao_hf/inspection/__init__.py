"""The host's side of inspection and proof: both run in a runtime, once per model, and are cached."""
