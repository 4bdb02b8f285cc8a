"""The answers of a model: how they are read, which are allowed, what they stand for."""
