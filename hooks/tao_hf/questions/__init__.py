"""What copier.yml asks and calls."""
