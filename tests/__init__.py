"""The project's tests, in the rooms of hooks/tao_hf; what they share is in support/."""
