"""Inspects one Hugging Face model without its weights."""
