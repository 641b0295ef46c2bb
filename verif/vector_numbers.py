"""Random scales, zero points and ranges for jobs of the vector unit."""

from dataclasses import replace
from typing import Any

import numpy as np

from models.engine.curves import LARGEST_CURVE_MULTIPLIER
from models.engine.vector import AS_THEY_ARE, Place

__all__ = ["random_numbers"]

WILD_PROBABILITY = 0.15
"""Of scales without regard to where the result lands."""

NARROW_PROBABILITY = 0.3
"""Of an activation function that clamps."""

HALF_SCALE = 1 << 30
LEFT_SHIFTS = {0: 20, 1: 15}
"""TFLite's, for operands of int8 and int16."""

CURVE_BITS = 17
"""Of an argument in units of 1/12288 that is not saturated."""

LAST_INDEX = {"a_multiplier": 32702, "left_shift": 13}
"""The largest argument is 255.5 entries of LOGISTIC's table, of which the last is the 255th."""

Fields = dict[str, Any]


def random_numbers(
    rng: np.random.Generator, function: str, a: Place, b: Place, out: Place
) -> Fields:
    """Every field that is not geometry; the three places with zero points."""
    wild = bool(rng.random() < WILD_PROBABILITY)
    a, b, out = (replace(place, zero_point=random_zero_point(rng, place)) for place in (a, b, out))
    fields: Fields = {"a": a, "b": b, "out": out}
    bits_out = 16 if out.wide else 8
    if function not in AS_THEY_ARE:
        fields |= random_range(rng, bits_out)
    if function in ("logistic", "tanh"):
        return fields | curve_scale(rng, wild)
    left_shift = LEFT_SHIFTS[max(a.wide, b.wide)]
    bits = {
        "scale": 16 if a.wide else 8,
        "multiply": (16 if a.wide else 8) + (16 if b.wide else 8),
        "add": left_shift + (16 if a.wide or b.wide else 8),
        "subtract": left_shift + (16 if a.wide or b.wide else 8),
    }.get(function, 8)
    fields |= scale("", rng, bits_out - bits, wild)
    if function in ("add", "subtract"):
        fields |= scale("a_", rng, -1, wild) | scale("b_", rng, -1, wild)
        fields["left_shift"] = int(rng.integers(32)) if wild else left_shift
    elif function == "scale":
        fields |= scale("b_", rng, bits_out - bits, wild)
    return fields


def scale(prefix: str, rng: np.random.Generator, shift: int, wild: bool) -> Fields:
    """A multiplier and a shift near ``shift``, or anything that TFLite has."""
    near = int(np.clip(shift + rng.integers(-2, 3), -31, 31))
    return {
        f"{prefix}multiplier": int(rng.integers(HALF_SCALE, 1 << 31))
        * int(not wild or rng.integers(2)),
        f"{prefix}shift": int(rng.integers(-31, 32)) if wild else near,
    }


def curve_scale(rng: np.random.Generator, wild: bool) -> Fields:
    """Arguments within the table or to its end, TFLite's two powers of two, or anything."""
    special = int(rng.integers(6))
    if special == 0:
        return LAST_INDEX
    if special == 1:
        return {"a_multiplier": int(rng.choice([3, 6])), "left_shift": 0}
    if wild:
        multiplier, shift = int(rng.integers(LARGEST_CURVE_MULTIPLIER + 1)), int(rng.integers(32))
    else:
        multiplier = int(rng.integers(1 << 14, 1 << 15))
        shift = 31 - CURVE_BITS + int(rng.integers(-3, 3))
    return {"a_multiplier": multiplier, "left_shift": shift}


def random_zero_point(rng: np.random.Generator, place: Place) -> int:
    """Mostly 0 for int16, as TFLite has it; anything for int8."""
    if place.wide and rng.integers(4):
        return 0
    limit = 1 << (15 if place.wide else 7)
    return int(rng.integers(-limit, limit))


def random_range(rng: np.random.Generator, bits: int) -> Fields:
    """The whole type, sometimes a part."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if rng.random() < NARROW_PROBABILITY:
        low, high = np.sort(rng.integers(low, high + 1, 2)).tolist()
    return {"out_min": low, "out_max": high}
