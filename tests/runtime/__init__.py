"""Where commands run: the local runtime, containers, the check of the host."""
