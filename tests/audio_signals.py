"""Sounds that front ends stumble over.  Not a test."""

import numpy as np

__all__ = ["HIGHEST", "LOWEST", "synthetic_signals"]

LOWEST, HIGHEST = -32768, 32767
SECOND = 16_000


def synthetic_signals(rng):
    """One second of each at 16 kHz, int16."""
    time = np.arange(SECOND)
    loudness = 10 ** rng.uniform(0, 4, 100).repeat(SECOND // 100)
    signals = {
        "noise": rng.integers(LOWEST, -LOWEST, time.size),
        "square": np.where(time // 9 % 2, HIGHEST, LOWEST),
        "lowest": np.full(time.size, LOWEST),
        "highest": np.full(time.size, HIGHEST),
        "silence": np.zeros(time.size),
        "impulse": np.where(time == 777, HIGHEST, 0),
        "impulses": np.where(time % 1000 == 0, LOWEST, 0),
        "faint tone": np.rint(1.03 * np.sin(0.37 * time)),  # -90 dBFS
        "loud tone": np.rint(HIGHEST * np.sin(0.2 * time)),
        "bursts": np.clip(np.rint(rng.normal(size=time.size) * loudness), LOWEST, HIGHEST),
    }
    return {name: values.astype(np.int16) for name, values in signals.items()}
