"""What every other part stands on: errors, files, git, locks, progress."""
