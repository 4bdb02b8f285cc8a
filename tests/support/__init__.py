"""What tests share: fixtures (plugins of conftest.py) and helpers."""
