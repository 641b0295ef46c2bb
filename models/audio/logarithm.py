"""Logarithm to base 2 by normalisation and a table of 129 entries."""

from models.audio.tables import LEVEL_FRACTION, LOG_TABLE, LOG_TABLE_BITS

__all__ = ["SUM_BITS", "log2"]

SUM_BITS = 76
"""Bits of the argument: a sum of mel weights and the floor."""

POSITION_BITS = 16
ENTRIES = LOG_TABLE.tolist()


def log2(value: int) -> int:
    """``log2(value)`` as Q7.16, within 2**-15.

    The leading one's position is the integer part; the seven bits behind it select a line of the
    table, and the sixteen behind those a point on it.  Further bits are dropped.

    Parameters
    ----------
    value : int
        1 to ``2**76 - 1``.

    Raises
    ------
    ValueError
        If the value is outside.
    """
    if not 0 < value < 1 << SUM_BITS:
        raise ValueError(f"value must be in 1..2**{SUM_BITS} - 1, not {value}")
    exponent = value.bit_length() - 1
    fraction_bits = LOG_TABLE_BITS + POSITION_BITS
    fraction = ((value << fraction_bits) >> exponent) - (1 << fraction_bits)
    index, position = divmod(fraction, 1 << POSITION_BITS)
    slope = ENTRIES[index + 1] - ENTRIES[index]
    line = ENTRIES[index] + ((slope * position + (1 << (POSITION_BITS - 1))) >> POSITION_BITS)
    return (exponent << LEVEL_FRACTION) + line
