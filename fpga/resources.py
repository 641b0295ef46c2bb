"""Cells of an ECP5: what a design takes, and what a part has."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

__all__ = ["LFE5U_85F", "Resources"]

LUTS_PER_CELL = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}
"""LUT4 places that a cell occupies.

A carry cell is two LUTs; 16 x 4 bits of LUT RAM are two for the data and two that drive its write
port.  ``PFUMX`` and ``L6MUX21`` join LUTs that are counted, and have places of their own.
"""


@dataclass(frozen=True)
class Resources:
    """How many cells of each class."""

    luts: int = 0
    """LUT4 places, those of carries and LUT RAM included."""
    flip_flops: int = 0
    multipliers: int = 0
    """``MULT18X18D``."""
    block_rams: int = 0
    """``DP16KD``, 18 Kb each."""

    @classmethod
    def of_cells(cls, cells: Mapping[str, int]) -> "Resources":
        """Count the cells of a netlist, given as number by cell type."""
        return cls(
            luts=sum(places * cells.get(cell, 0) for cell, places in LUTS_PER_CELL.items()),
            flip_flops=cells.get("TRELLIS_FF", 0),
            multipliers=cells.get("MULT18X18D", 0),
            block_rams=cells.get("DP16KD", 0),
        )

    def __add__(self, other: "Resources") -> "Resources":
        names = [field.name for field in fields(self)]
        return Resources(**{name: getattr(self, name) + getattr(other, name) for name in names})


LFE5U_85F = Resources(luts=83_640, flip_flops=83_640, multipliers=156, block_rams=208)
"""The largest ECP5, which the configuration of the same name is made for."""
