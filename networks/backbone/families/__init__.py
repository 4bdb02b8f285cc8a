"""Hugging Face architectures by family: the same network in TAO or timm, and how the tensors' names translate."""
