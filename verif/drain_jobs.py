"""Random jobs for the drain: descriptor, parameters, pixels, and the words that must come out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.accumulators import ACCUMULATOR_BITS, PRODUCT_BITS
from hdl.engine.descriptor import Descriptor, Drain
from models.engine import reciprocal, requantize
from models.engine.datapath import (
    OperandScale,
    OutputRange,
    OutputWalk,
    drain_add,
    drain_average,
)
from models.fixedpoint import IntArray
from verif.bench import log_uniform
from verif.vectors import pack

__all__ = ["Channels", "DrainJob", "random_walk"]

WILD_PROBABILITY = 0.15
"""Of parameters without regard to where the result lands."""

NARROW_PROBABILITY = 0.3
"""Of an activation function that clamps."""

HALF_SCALE = 1 << 30
TFLITE_LEFT_SHIFT = 20
LARGEST_COUNT = 1 << 12
OPERAND_BITS = 9


@dataclass(frozen=True)
class Channels:
    """Parameters of all groups, ``(groups, rows)`` each."""

    bias: IntArray
    multiplier: IntArray
    shift: IntArray

    def words(self) -> list[int]:
        """The parameter stream."""
        return [
            (pack(np.concatenate([bias, multiplier]), 32) >> at) % (1 << 128)
            if at >= 0
            else pack(shift, 8)
            for bias, multiplier, shift in zip(self.bias, self.multiplier, self.shift, strict=True)
            for at in [*range(0, 64 * len(bias), 128), -1]
        ]


@dataclass(frozen=True)
class DrainJob:
    """Stimulus and expected results of one job.

    ``pixels``: payloads of the input stream.  ``activations``: ``(groups * pixels, rows)``.
    ``words``: ``(bank, address, data)`` in the order in which they must be written.
    """

    descriptor: int
    walk: OutputWalk
    output: OutputRange
    channels: Channels
    pixels: list[int]
    activations: NDArray[np.int8]
    words: list[tuple[int, int, int]]

    @classmethod
    def draw(
        cls, rng: np.random.Generator, config: ChipConfig, mode: Drain, walk: OutputWalk
    ) -> "DrainJob":
        """Random numbers for the given mode and geometry."""
        groups, rows, count = walk.groups, config.rows, walk.height * walk.width
        output = random_range(rng)
        shape = (groups, count, rows)
        total = rng.integers(-(1 << 31), 1 << 31, shape)  # not looked at by additions
        latest = rng.integers(-(1 << 8), 1 << 8, shape)
        previous = rng.integers(-(1 << 8), 1 << 8, shape)
        extra = {}
        if mode == Drain.SCALE:
            channels, total = scaling(rng, shape)
            activations = requantize(total, **per_pixel(channels), **vars(output))
        elif mode == Drain.AVERAGE:
            divisor, channels = counts(rng, groups, rows)
            divisor = divisor[:, np.newaxis]
            total = rng.integers(-128 * divisor, 127 * divisor + 1, shape)
            activations = drain_average(total, divisor, output)
        else:
            latest, previous = (
                log_uniform(rng, bits=OPERAND_BITS, size=total.size).reshape(shape)
                for _ in range(2)
            )
            channels, scales, left_shift = adding(rng, groups, rows)
            activations = drain_add(
                (previous, latest), scales, left_shift, output, **per_pixel(channels)
            )
            extra = {"left_shift": left_shift}
            for name, scale in zip("ab", scales, strict=True):
                extra |= {f"{name}_multiplier": scale.multiplier, f"{name}_shift": scale.shift}
        activations = activations.reshape(-1, rows)
        places = walk.addresses(banks=ACT_BANKS, bank_words=config.bank_words)
        return cls(
            descriptor=describe(walk, output, drain=mode, **extra),
            walk=walk,
            output=output,
            channels=channels,
            pixels=[
                pack(t, ACCUMULATOR_BITS)
                | (pack(n, PRODUCT_BITS) | pack(p, PRODUCT_BITS) << PRODUCT_BITS * rows)
                << ACCUMULATOR_BITS * rows
                for t, n, p in zip(
                    *(x.reshape(-1, rows) for x in (total, latest, previous)), strict=True
                )
            ],
            activations=activations,
            words=[
                (*place, pack(word, 8)) for place, word in zip(places, activations, strict=True)
            ],
        )


def per_pixel(channels: Channels) -> dict[str, IntArray]:
    """Parameters with an axis for the pixels, as the models want them."""
    return {name: values[:, np.newaxis] for name, values in vars(channels).items()}


def describe(walk: OutputWalk, output: OutputRange, **fields) -> int:
    """The descriptor's bits."""
    fields |= {
        "groups_last": walk.groups - 1,
        "out_h_last": walk.height - 1,
        "out_w_last": walk.width - 1,
        "out_base": walk.base,
        "out_row0": walk.row0,
        "out_row_words": walk.row_words,
        "out_pixel_step": walk.pixel_step,
        "out_row_step": walk.row_step,
        "out_zero_point": output.zero_point,
        "out_min": output.minimum,
        "out_max": output.maximum,
    }
    return Descriptor.const(fields).as_value().value


def random_walk(rng: np.random.Generator) -> OutputWalk:
    """Any steps, small counts; every dimension is 1 now and then, and so are all of them."""
    height, width = (int(n) for n in rng.choice([1, 1, 2, 3, 5], 2))
    return OutputWalk(
        groups=int(rng.choice([1, 2, 4, 8])),
        height=height,
        width=width,
        base=int(rng.integers(1 << 16)),
        row0=int(2 ** rng.uniform(0, 12)) - 1,
        row_words=int(2 ** rng.uniform(0, 12)),
        pixel_step=int(2 ** rng.uniform(0, 12)),
        row_step=int(rng.integers(1, 8)),
    )


def random_range(rng: np.random.Generator) -> OutputRange:
    """Any zero point; mostly the whole of int8, sometimes a part."""
    low, high = -128, 127
    if rng.random() < NARROW_PROBABILITY:
        low, high = np.sort(rng.integers(low, high + 1, 2)).tolist()
    return OutputRange(zero_point=int(rng.integers(-128, 128)), minimum=low, maximum=high)


def scaling(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Channels, IntArray]:
    """Accumulators of some width, and shifts that bring most of them into int8."""
    groups, _, rows = shape
    bits = int(rng.integers(8, 33))
    total = log_uniform(rng, bits=bits, size=int(np.prod(shape))).reshape(shape)
    bias = log_uniform(rng, bits=bits, size=groups * rows).reshape(groups, rows)
    multiplier = rng.integers(HALF_SCALE, 1 << 31, (groups, rows))
    shift = rng.integers(7 - bits, 10 - bits, (groups, rows))
    if rng.random() < WILD_PROBABILITY:
        shift = rng.integers(-31, 32, (groups, rows))
        multiplier = multiplier * rng.integers(0, 2, (groups, rows))
    return Channels(bias, multiplier, shift), total


def counts(rng: np.random.Generator, groups: int, rows: int) -> tuple[IntArray, Channels]:
    """Divisors, and the parameters that divide by them."""
    count = (2 ** rng.uniform(0, np.log2(LARGEST_COUNT), (groups, rows))).astype(np.int64)
    inverse = np.array([reciprocal(int(n)) for n in count.reshape(-1)]).reshape(groups, rows, 2)
    return count, Channels(count // 2, inverse[:, :, 0], inverse[:, :, 1])


def adding(
    rng: np.random.Generator, groups: int, rows: int
) -> tuple[Channels, tuple[OperandScale, OperandScale], int]:
    """As TensorFlow Lite has them, or anything."""
    wild = bool(rng.random() < WILD_PROBABILITY)
    low, high = (-31, 32) if wild else (-4, 1)
    a, b = (
        OperandScale(
            multiplier=int(rng.integers(HALF_SCALE, 1 << 31)), shift=int(rng.integers(low, high))
        )
        for _ in range(2)
    )
    left_shift = int(rng.integers(32)) if wild else TFLITE_LEFT_SHIFT
    low, high = (-31, 32) if wild else (1 - TFLITE_LEFT_SHIFT, 4 - TFLITE_LEFT_SHIFT)
    channels = Channels(
        log_uniform(rng, bits=22, size=groups * rows).reshape(groups, rows),
        rng.integers(HALF_SCALE, 1 << 31, (groups, rows)),
        rng.integers(low, high, (groups, rows)),
    )
    return channels, (a, b), left_shift
