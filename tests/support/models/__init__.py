"""Tiny models of every architecture, by task; they are made inside the runtime."""
