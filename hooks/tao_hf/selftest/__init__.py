"""The test of a model: its steps, their order, the report."""
