"""TensorFlow Lite Micro's FFT operators as judges.  Not a test."""

import numpy as np
import tflite
from signal_ops import SignalNetwork

from mmsp.tflm import MicroInterpreter

__all__ = ["signal_irfft", "signal_rfft"]


def judge(operator: str, points: int, sizes: tuple[int, int]) -> MicroInterpreter:
    """Custom operator ``operator``: int16 of ``sizes[0]`` to ``sizes[1]``."""
    network = SignalNetwork()
    inputs, outputs = ([network.variable((size,), np.int16)] for size in sizes)
    options = {"T": tflite.TensorType.INT16, "fft_length": points}
    network.operator(operator, options, inputs, outputs)
    return network.interpreter(inputs, outputs)


def signal_rfft(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SignalRfft of blocks ``(n, points)`` of int16: parts of shape ``(n, points / 2 + 1)``."""
    points = x.shape[-1]
    interpreter = judge("SignalRfft", points, (points, points + 2))
    bins = np.stack([interpreter.run([block.astype(np.int16)])[0] for block in x])
    return bins[:, 0::2].astype(np.int64), bins[:, 1::2].astype(np.int64)


def signal_irfft(re: np.ndarray, im: np.ndarray) -> np.ndarray:
    """SignalIrfft of blocks of int16 bins."""
    points = 2 * (re.shape[-1] - 1)
    interpreter = judge("SignalIrfft", points, (points + 2, points))
    bins = np.stack([re, im], axis=-1).reshape(len(re), -1).astype(np.int16)
    return np.stack([interpreter.run([block])[0] for block in bins]).astype(np.int64)
