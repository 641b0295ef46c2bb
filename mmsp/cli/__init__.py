"""The command ``mmsp``."""

from mmsp.cli.main import main

__all__ = ["main"]
