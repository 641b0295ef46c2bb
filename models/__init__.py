"""Bit-exact NumPy golden models, one module or package per hardware block."""
