"""Prepares and reads what the steps of a test need: datasets, spec files, wheels."""
