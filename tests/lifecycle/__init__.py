"""Copy, update, restore and remove, undisturbed and killed."""
