"""The golden executor: layers on the golden models, the numbers that the chip must produce."""

from mmsp.golden.executor import run_golden

__all__ = ["run_golden"]
