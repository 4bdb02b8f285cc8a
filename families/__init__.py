"""Hugging Face architectures by family: which TAO backbone or timm network computes the same, and how names translate."""
