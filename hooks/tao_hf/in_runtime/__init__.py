"""What runs in the runtime, where PyTorch is: ``python -m tao_hf.in_runtime.<package>.<module>``."""
