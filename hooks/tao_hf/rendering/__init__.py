"""What templates see and which of them make a model."""
