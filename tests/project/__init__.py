"""The project itself: its layers, what it may never do, its test images."""
