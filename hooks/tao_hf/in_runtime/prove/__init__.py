"""Proves by numbers that a generated network is the Hugging Face model."""
