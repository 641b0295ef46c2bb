"""Chooses the sites of multipliers and block RAMs before nextpnr places the rest.

nextpnr moves every cell to a good place first and then looks for legal sites at random; of
multipliers, which fill their rows of the part, the last ones go wherever a site is left.  That
doubled the wires of the ECP5 configuration (docs/fpga.md).  Here the same cells get their sites by
a placement of the whole netlist that ignores how much room LUTs take:

* All cells are placed by least squares, nets as in the bound-to-bound model (Spindler, Schlichtmann
  and Johannes, "Kraftwerk2", 2008): its weights make the squares the half-perimeters of nets.
* Blocks go to sites by the assignment of least displacement.
* Both are repeated; anchors at the sites, pulling harder each time (Kim, Lee and Markov, "SimPL",
  2010), end in a placement that stays at its sites.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import cg

from fpga.synthesis import SynthesisError

__all__ = ["SITES", "Nets", "choose_sites", "fix_sites"]

BLOCK_COLUMNS = [*range(4, 59, 9), *range(69, 115, 9)]
"""Where groups of four sites begin, left and right of the clock spine."""
MULTIPLIER_ROWS = (10, 34, 58)
MEMORY_ROWS = (22, 46, 70, 82)

SITES = {
    "MULT18X18D": [
        (x + offset, y, f"X{x + offset}/Y{y}/MULT18_{offset}")
        for y in MULTIPLIER_ROWS
        for x in BLOCK_COLUMNS
        for offset in (0, 1, 4, 5)
    ],
    "DP16KD": [
        (x + 2 * number, y, f"X{x + 2 * number}/Y{y}/EBR{number}")
        for y in MEMORY_ROWS
        for x in BLOCK_COLUMNS
        for number in range(4)
    ],
}
"""Sites of an LFE5U-85F by cell type: column, row and the name that nextpnr gives them."""

MAX_PINS = 200
"""Nets of more cells, such as enables, are everywhere whatever the placement."""
SHORTEST = 2.0
"""In tiles: a shorter distance has no greater weight, or no cell could leave another."""
FIRST_PULL, PULL_GROWTH = 0.2, 1.1
"""Of the anchors, against the mean weight of all wires of a block."""
ROUNDS = 50
"""The last pull is twenty times all wires; sites are settled before."""
ASSIGNMENT_POWER = 1.5
"""Of the distance to a site: rather two small displacements than a large one."""


@dataclass(frozen=True)
class Nets:
    """Which cells each net connects."""

    pins: np.ndarray
    """Indices of cells, net after net; a cell once a net."""
    sizes: np.ndarray
    """Cells of each net, two or more."""
    cells: int
    """Number of cells."""

    @classmethod
    def of_cells(cls, cells: Mapping[str, Mapping[str, Any]]) -> "Nets":
        """Read the cells of a module as Yosys writes them."""
        members: dict[int, set[int]] = {}
        for index, cell in enumerate(cells.values()):
            for bits in cell["connections"].values():
                for bit in bits:
                    if isinstance(bit, int):  # constants are strings
                        members.setdefault(bit, set()).add(index)
        nets = [sorted(net) for net in members.values() if 1 < len(net) <= MAX_PINS]
        pins = np.array([index for net in nets for index in net], dtype=int)
        return cls(pins, np.array([len(net) for net in nets], dtype=int), len(cells))

    def wires(self, at: np.ndarray) -> csr_matrix:
        """Weights between cells, symmetric, by the bound-to-bound model.

        Every cell of a net is tied to the two outermost ones by ``1 / (distance * (cells - 1))``.

        Parameters
        ----------
        at
            Coordinates of the cells, ``(cells,)``, in tiles.
        """
        net = np.repeat(np.arange(len(self.sizes)), self.sizes)
        order = np.lexsort((at[self.pins], net))
        pins = self.pins[order]
        ends = np.cumsum(self.sizes)
        low, high = pins[ends - self.sizes], pins[ends - 1]
        inner = np.ones(len(pins), dtype=bool)
        inner[ends - self.sizes] = inner[ends - 1] = False
        between, of_net = pins[inner], net[inner]
        start = np.concatenate([low, between, between])
        end = np.concatenate([high, low[of_net], high[of_net]])
        size = self.sizes[np.concatenate([np.arange(len(self.sizes)), of_net, of_net])]
        weight = 1 / ((size - 1) * np.maximum(np.abs(at[start] - at[end]), SHORTEST))
        half = coo_matrix((weight, (start, end)), shape=(self.cells, self.cells)).tocsr()
        return half + half.T

    def length(self, at: np.ndarray) -> float:
        """Sum of the half-perimeters of all nets for ``at``, ``(cells, 2)``."""
        starts = np.cumsum(self.sizes) - self.sizes
        total = 0.0
        for axis in at[self.pins].T:
            total += (np.maximum.reduceat(axis, starts) - np.minimum.reduceat(axis, starts)).sum()
        return total


def settle(
    nets: Nets, at: np.ndarray, blocks: np.ndarray, anchors: np.ndarray, pull: float
) -> np.ndarray:
    """Move all cells to where their wires and the anchors of ``blocks`` pull them.

    Parameters
    ----------
    nets
        The wires.
    at
        Where cells are, ``(cells, 2)``, in tiles.
    blocks
        Indices of the cells with an anchor, ``(blocks,)``.
    anchors
        ``(blocks, 2)``.
    pull
        Of an anchor, as a multiple of what the wires of a block pull.

    Returns
    -------
    np.ndarray
        Where cells are then, ``(cells, 2)``.
    """
    moved = at.copy()
    for axis in range(2):
        here, anchor = at[:, axis], anchors[:, axis]
        wires = nets.wires(here)
        tied = np.asarray(wires.sum(axis=1)).ravel()
        anchored = np.full(nets.cells, 1e-6)  # nothing floats
        anchored[blocks] = (
            pull * tied[blocks].mean() / np.maximum(np.abs(here[blocks] - anchor), SHORTEST)
        )
        target = here.copy()
        target[blocks] = anchor
        system = (diags(tied + anchored) - wires).tocsr()
        # Solved for the step: a rough solution of it is still a good step.
        step, _ = cg(
            system, anchored * target - system @ here, rtol=0.05, maxiter=80,
            M=diags(1 / system.diagonal()),
        )  # fmt: skip
        moved[:, axis] += step
    return moved


def choose_sites(cells: Mapping[str, Mapping[str, Any]], seed: int = 1) -> dict[str, str]:
    """Choose a site for every multiplier and block RAM.

    Parameters
    ----------
    cells
        Of the only module of a netlist, as Yosys writes them.
    seed
        Of the sites to begin with.

    Returns
    -------
    dict[str, str]
        Names of sites by name of cell.

    Raises
    ------
    SynthesisError
        If the part has too few sites.
    """
    nets, names = Nets.of_cells(cells), list(cells)
    types = np.array([cell["type"] for cell in cells.values()])
    groups = {kind: np.flatnonzero(types == kind) for kind in SITES}
    rng = np.random.default_rng(seed)
    chosen = {}
    for kind, group in groups.items():
        if len(group) > len(SITES[kind]):
            raise SynthesisError(
                f"the netlist has {len(group)} {kind}, an LFE5U-85F has {len(SITES[kind])}"
            )
        chosen[kind] = rng.permutation(len(SITES[kind]))[: len(group)]
    places = {kind: np.array([site[:2] for site in sites], float) for kind, sites in SITES.items()}
    blocks = np.concatenate(list(groups.values()))
    if len(blocks) == 0:
        return {}

    def anchors() -> np.ndarray:
        return np.concatenate([places[kind][chosen[kind]] for kind in SITES])

    at = np.tile(anchors().mean(axis=0), (nets.cells, 1))
    at[blocks] = anchors()
    for round_ in range(ROUNDS):
        before = anchors()
        at = settle(nets, at, blocks, before, FIRST_PULL * PULL_GROWTH**round_)
        for kind, group in groups.items():
            distance = np.abs(at[group][:, None] - places[kind][None]).sum(axis=2)
            _, chosen[kind] = linear_sum_assignment(distance**ASSIGNMENT_POWER)
        if np.array_equal(before, anchors()):
            break
    return {
        names[cell]: SITES[kind][site][2]
        for kind, group in groups.items()
        for cell, site in zip(group, chosen[kind], strict=True)
    }


def fix_sites(netlist: Path) -> None:
    """Write the chosen sites into ``netlist``, a flattened module of Yosys in JSON."""
    design = json.loads(netlist.read_text())
    cells = max((module["cells"] for module in design["modules"].values()), key=len)
    for name, site in choose_sites(cells).items():
        cells[name]["attributes"]["BEL"] = site
    netlist.write_text(json.dumps(design))
