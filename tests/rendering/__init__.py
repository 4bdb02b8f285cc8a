"""What the templates render."""
