"""Transforms for the FFT's benches: stimulus of every kind, and what the model makes of it."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring

from hdl.audio.config import AudioConfig
from hdl.audio.fft import Fft, FftArithmetic
from hdl.audio.multipliers import MultiplierBank
from models.audio.fft import Fft as FftModel
from models.audio.fft_arithmetic import DATA_BITS, KISS_BITS
from models.fixedpoint import IntArray

__all__ = ["KINDS", "FftAlone", "Transform", "random_transform", "random_values"]

KINDS = (
    "full scale",
    "square",
    "impulse",
    "silence",
    "minus one",
    "quiet tone",
    "log uniform",
    "constant",
    "ties",
)

QUIET_DBFS = -90


class FftAlone(wiring.Component):
    """The FFT with multipliers of its own."""

    def __init__(self, config: AudioConfig):
        self.fft = Fft(config)
        members = dict(self.fft.signature.members)
        del members["multipliers"]
        super().__init__(members)

    def elaborate(self, platform):
        """Connect the two."""
        m = Module()
        m.submodules.fft = fft = self.fft
        m.submodules.bank = bank = MultiplierBank(1)
        wiring.connect(m, fft.multipliers, bank.users[0])
        wiring.connect(m, wiring.flipped(self.i), fft.i)
        wiring.connect(m, fft.o, wiring.flipped(self.o))
        m.d.comb += [
            fft.job.eq(self.job),
            self.exponent.eq(fft.exponent),
            self.busy.eq(fft.busy),
        ]
        return m


@dataclass(frozen=True)
class Transform:
    """One job: pairs ``(re, im)`` that go in, and those that must come out."""

    points: int
    arithmetic: FftArithmetic
    inverse: bool
    words: list[tuple[int, int]]
    results: list[tuple[int, int]]
    exponent: int

    @property
    def job(self) -> dict:
        """Fields of `hdl.audio.fft.FftJob`."""
        size = self.points.bit_length() - 1
        return {"size": size, "arithmetic": self.arithmetic, "inverse": int(self.inverse)}


def random_values(rng: np.random.Generator, kind: str, size: int, bits: int) -> IntArray:
    """``size`` values of ``bits``, of one of `KINDS`."""
    largest = (1 << (bits - 1)) - 1
    low, high = -largest - 1, largest + 1
    n = np.arange(size)
    half_period = int(2 ** rng.uniform(0, np.log2(size)))
    rising = (n + rng.integers(0, 2 * half_period)) // half_period % 2
    tone = np.cos(2 * np.pi * (rng.uniform(0, 0.5) * n + rng.uniform()))
    values = {
        "full scale": rng.integers(low, high, size),
        "square": np.where(rising, largest, low),
        "impulse": np.where(n == rng.integers(0, size), rng.choice([largest, low]), 0),
        "silence": np.zeros(size),
        "minus one": -np.ones(size),
        "quiet tone": np.rint(largest * 10 ** (QUIET_DBFS / 20) * tone),
        "log uniform": rng.integers(low, high, size) >> rng.integers(0, bits),
        "constant": np.full(size, rng.choice([largest, low])),
        "ties": rng.choice([low, low // 2, low // 2 + 1, 0, high // 2, high // 2 - 1], size),
    }
    return values[kind].astype(np.int64)


def random_transform(
    rng: np.random.Generator, kind: str, points: int, arithmetic: FftArithmetic, *, inverse: bool
) -> Transform:
    """A job with a stimulus of ``kind``."""
    model, kiss = FftModel(points), arithmetic == FftArithmetic.KISS
    bits = KISS_BITS if kiss else DATA_BITS
    exponent = 0
    if inverse:
        re, im = (random_values(rng, kind, points // 2 + 1, bits) for _ in range(2))
        im[[0, -1]] = random_values(rng, "full scale", 2, bits)  # which shall not count
        if kiss:
            x = model.inverse_kiss(re, im)
        else:
            x, exponent = model.inverse_block_floating(re, im)
        words, results = pairs(re, im), pairs(x[0::2], x[1::2])
    else:
        x = random_values(rng, kind, points, bits)
        if kiss:
            re, im = model.kiss(x)
        else:
            re, im, exponent = model.block_floating(x)
        words, results = pairs(x[0::2], x[1::2]), pairs(re, im)
    return Transform(points, arithmetic, inverse, words, results, int(exponent))


def pairs(re: IntArray, im: IntArray) -> list[tuple[int, int]]:
    """Two arrays as a list of pairs of integers."""
    return list(zip(re.tolist(), im.tolist(), strict=True))
