"""Tests of the answers of a model."""
