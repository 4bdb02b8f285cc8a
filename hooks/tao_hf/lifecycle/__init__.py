"""What happens to a model in a working directory: copied, updated, put back, removed."""
