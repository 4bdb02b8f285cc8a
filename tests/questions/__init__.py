"""What Copier asks, and what it says to bad answers."""
