"""Checks a generated model: its consistency, its code, its predictions, and where it is imported from."""
