"""Random jobs for the drain: descriptor, parameters, pixels, and the words that must come out."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdl.config import ACT_BANKS, ChipConfig
from hdl.engine.accumulators import ACCUMULATOR_BITS, PRODUCT_BITS
from hdl.engine.descriptor import Descriptor, Drain
from models.engine.drain import (
    OperandScale,
    OutputRange,
    OutputWalk,
    drain_add,
    drain_average,
    drain_leaky,
    drain_multiply,
    drain_prelu,
    drain_scale,
)
from models.fixedpoint import IntArray
from verif.bench import log_uniform
from verif.drain_parameters import Channels, accumulators, counts, operand_scales, scaling
from verif.vectors import pack

__all__ = ["KINDS", "STYLES", "DrainJob", "Kind", "Style", "random_walk"]

TFLITE_LEFT_SHIFT = 20
OPERAND_BITS = 9
INT32_BITS = 32
LARGEST_SHIFT = 30
ZERO_POINT_SHIFT = 4
"""A range around zero leaves room for a zero point so much smaller."""


class Kind(NamedTuple):
    """What a job does."""

    mode: Drain
    wide: bool
    single: bool = False

    @property
    def out_bits(self) -> int:
        """Of an output."""
        return 16 if self.wide else 8

    @property
    def turns(self) -> int:
        """Through the requantisers, of each output."""
        return 3 if self.mode in (Drain.ADD, Drain.SUBTRACT) else 1


KINDS = [Kind(mode, wide) for mode in Drain for wide in (False, True)] + [
    Kind(Drain.SCALE, wide, single=True) for wide in (False, True)
]


class Style(NamedTuple):
    """What the numbers of a job are like."""

    wild: bool = False
    """Scales without regard to where the result lands."""
    narrow: Literal["", "around zero", "anywhere"] = ""
    """The range of the activation function; if empty, all of the type.  Around zero: with many
    pixels, so that there are outputs on either side of either end."""


STYLES = 3 * [Style()] + 2 * [Style(narrow="around zero")] + [Style(narrow="anywhere"), Style(True)]
"""The jobs of a kind."""


@dataclass
class Stimulus:
    """Numbers of a job, ``(groups, pixels, rows)``, and what must become of them.

    What a mode does not look at is arbitrary.
    """

    total: IntArray
    latest: IntArray
    previous: IntArray
    channels: Channels
    activations: NDArray[Any]
    scales: tuple[OperandScale, OperandScale] | None = None
    left_shift: int = 0

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        kind: Kind,
        output: OutputRange,
        shape: tuple[int, int, int],
        *,
        wild: bool,
    ) -> "Stimulus":
        """Random numbers, most of whose results are in range."""
        groups, _, rows = shape
        mode, out_bits, each = kind.mode, kind.out_bits, (groups, rows)
        size = int(np.prod(shape))
        operand_bits = (OPERAND_BITS, PRODUCT_BITS if mode == Drain.PRELU else OPERAND_BITS)
        previous, latest = (
            log_uniform(rng, bits=bits, size=size).reshape(shape) for bits in operand_bits
        )
        widest = min(ACCUMULATOR_BITS, out_bits + LARGEST_SHIFT) if kind.single else INT32_BITS
        total_bits = int(rng.integers(8, widest + 1))
        total = accumulators(rng, shape, total_bits, wide=kind.single)
        scales, left_shift = None, int(rng.integers(32))

        def channels_for(bits: int) -> Channels:
            return scaling(rng, each, bits=bits, out_bits=out_bits, single=kind.single, wild=wild)

        channels = channels_for(INT32_BITS)
        if mode == Drain.SCALE:
            channels = channels_for(total_bits)
            activations = drain_scale(
                total, output, single_rounding=kind.single, **channels.per_pixel()
            )
        elif mode == Drain.AVERAGE:
            divisor, channels = counts(rng, each, out_bits)
            divisor, limit = divisor[:, np.newaxis], 1 << (out_bits - 1)
            total = rng.integers(-limit * divisor, (limit - 1) * divisor + 1, shape)
            activations = drain_average(total, divisor, output)
        elif mode == Drain.MULTIPLY:
            channels = channels_for(2 * OPERAND_BITS - 1)
            activations = drain_multiply((previous, latest), output, **channels.per_pixel())
        elif mode == Drain.LEAKY:
            scales = operand_scales(rng, 2 * [out_bits + 1 - total_bits], wild=wild)
            activations = drain_leaky(total, scales, output)
        elif mode == Drain.PRELU:
            gains = [out_bits + 1 - bits for bits in operand_bits]
            scales = operand_scales(rng, gains, wild=wild)
            activations = drain_prelu(previous, latest, scales, output)
        else:
            scales = operand_scales(rng, (-1, -1), wild=wild)
            left_shift = left_shift if wild else TFLITE_LEFT_SHIFT
            channels = channels_for(OPERAND_BITS + TFLITE_LEFT_SHIFT - 1)
            activations = drain_add(
                (previous, latest), scales, left_shift, output,
                subtract=mode == Drain.SUBTRACT, **channels.per_pixel(),
            )  # fmt: skip
        return cls(total, latest, previous, channels, activations, scales, left_shift)

    def fields(self) -> dict[str, int]:
        """Of the descriptor."""
        fields = {"left_shift": self.left_shift}
        for name, scale in zip("ab", self.scales or (), strict=False):
            fields |= {f"{name}_multiplier": scale.multiplier, f"{name}_shift": scale.shift}
        return fields

    def pixels(self) -> list[int]:
        """Payloads of the input stream; see `hdl.engine.accumulators.accumulated`."""
        rows = self.total.shape[-1]
        columns = (x.reshape(-1, rows) for x in (self.total, self.latest, self.previous))
        return [
            pack(total, ACCUMULATOR_BITS)
            | pack([latest, previous], PRODUCT_BITS) << ACCUMULATOR_BITS * rows
            for total, latest, previous in zip(*columns, strict=True)
        ]


@dataclass(frozen=True)
class DrainJob:
    """Stimulus and expected results of one job.

    ``words``: ``(bank, address, data)`` in the order in which they must be written.
    """

    kind: Kind
    descriptor: int
    walk: OutputWalk
    output: OutputRange
    stimulus: Stimulus
    words: list[tuple[int, int, int]]

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        config: ChipConfig,
        kind: Kind,
        walk: OutputWalk,
        style: Style,
    ) -> "DrainJob":
        """Random numbers for the given mode and geometry."""
        output = random_range(rng, kind, style)
        shape = (walk.groups, walk.height * walk.width, config.rows)
        stimulus = Stimulus.draw(rng, kind, output, shape, wild=style.wild)
        octets = stimulus.activations.reshape(-1, config.rows).astype(np.int64)
        planes = [octets, octets >> 8] if kind.wide else [octets]
        places = walk.addresses(banks=ACT_BANKS, bank_words=config.bank_words)
        return cls(
            kind=kind,
            descriptor=describe(walk, output, kind, stimulus.fields()),
            walk=walk,
            output=output,
            stimulus=stimulus,
            words=[
                (*place, pack(word, 8))
                for place, word in zip(
                    places, np.stack(planes, 1).reshape(-1, config.rows), strict=True
                )
            ],
        )


def describe(walk: OutputWalk, output: OutputRange, kind: Kind, fields: dict[str, int]) -> int:
    """The descriptor's bits."""
    fields = fields | {
        "drain": kind.mode,
        "wide_out": kind.wide,
        "single_rounding": kind.single,
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


def random_walk(rng: np.random.Generator, kind: Kind, style: Style) -> OutputWalk:
    """Any steps, small counts; every dimension is 1 now and then, and so are all of them."""
    few = [4, 5] if style.narrow == "around zero" else [1, 1, 2, 3, 5]
    height, width = (int(n) for n in rng.choice(few, 2))
    return OutputWalk(
        groups=int(rng.choice([1, 2, 4, 8] if min(few) == 1 else [3, 4])),
        height=height,
        width=width,
        base=int(rng.integers(1 << 16)),
        row0=int(2 ** rng.uniform(0, 12)) - 1,
        row_words=int(2 ** rng.uniform(0, 14)),
        pixel_step=int(2 ** rng.uniform(0, 14)),
        row_step=int(rng.integers(1, 8)),
        wide=kind.wide,
    )


def random_range(rng: np.random.Generator, kind: Kind, style: Style) -> OutputRange:
    """Any zero point, small ones more often."""
    limits = np.iinfo(np.int16 if kind.wide else np.int8)
    low, high = int(limits.min), int(limits.max)
    zero_point = int(log_uniform(rng, bits=kind.out_bits, size=1)[0])
    if style.narrow == "anywhere":
        low, high = np.sort(rng.integers(low, high + 1, 2)).tolist()
    elif style.narrow:
        low, high = (int(end * 2 ** -rng.uniform(2, 4)) for end in (low, high))
        zero_point >>= ZERO_POINT_SHIFT
    return OutputRange(
        zero_point=zero_point,
        minimum=low,
        maximum=high,
        dtype=np.int16 if kind.wide else np.int8,
    )
