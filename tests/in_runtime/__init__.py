"""The programs that run inside the runtime."""
