"""Chooses the sites of multipliers and block RAMs before nextpnr places the rest.

nextpnr moves every cell to a good place first and then looks for legal sites at random; of
multipliers, which fill their rows of the part, the last ones go wherever a site is left.  That
doubled the wires of the ECP5 configuration (docs/fpga.md).  Here the same cells get sites that
nextpnr keeps:

* How much two blocks want to be near each other is found by eliminating everything between them.
  If each net is a spring between every two of its cells, LUTs and flip-flops that may go anywhere
  leave springs between the blocks alone: the Schur complement of the Laplacian (Kron reduction).
* Simulated annealing exchanges sites for the least sum of affinity times distance.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags, identity

from fpga.synthesis import SynthesisError

__all__ = ["SITES", "Affinities", "annealed", "choose_sites", "fix_sites"]

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

MAX_CELLS = 40
"""Nets of more cells, such as enables, are everywhere whatever the placement."""
MOVES = 1_500_000
"""Tried by annealing; what it reaches hardly depends on where it began."""
HOTTEST, COLDEST = 10.0, 0.01
"""Tiles: the cost of moving a block with all its wires by so much is what chance may add."""
REACH, LAST_REACH = 39.0, 9.0
"""Tiles: of moves in the second half, from its beginning to its end."""
TOLERANCE, ITERATIONS = 1e-4, 400
"""Of the conjugate gradients, relative to the right-hand side; the ECP5 configuration takes 60."""


@dataclass(frozen=True)
class Affinities:
    """How strongly blocks are tied to each other through everything between them."""

    blocks: list[str]
    """Names of cells."""
    kinds: list[str]
    """Their types, keys of `SITES`."""
    between: np.ndarray
    """Nets, ``(blocks, blocks)``, symmetric: one over the number of nets in a chain, added over
    chains; zero on the diagonal."""

    @classmethod
    def of_cells(cls, cells: Mapping[str, Mapping[str, Any]]) -> "Affinities":
        """Eliminate all cells but the blocks from a flat module as Yosys writes it."""
        names, wires = list(cells), springs(cells)
        is_block = np.array([cell["type"] in SITES for cell in cells.values()])
        tied = np.asarray(wires.sum(1)).ravel()
        laplacian = (diags(tied) - wires).tocsr()
        block, free = np.flatnonzero(is_block), np.flatnonzero(~is_block & (tied > 0))
        between = laplacian[block][:, block].toarray()
        if len(free):
            # Cells with no way to a block would make it singular.
            inner = laplacian[free][:, free] + identity(len(free)) * 1e-6
            outer = laplacian[free][:, block].toarray()
            between += outer.T @ solved(inner.tocsr(), -outer)
        between = -between
        np.fill_diagonal(between, 0)
        between = np.maximum(between, 0)  # rounding
        return cls(
            [names[index] for index in block],
            [cells[names[index]]["type"] for index in block],
            (between + between.T) / 2,
        )


def springs(cells: Mapping[str, Mapping[str, Any]]) -> csr_matrix:
    """Tie every two of a net's ``n`` cells by ``1 / (n - 1)``: symmetric, ``(cells, cells)``."""
    members: dict[int, set[int]] = {}
    for index, cell in enumerate(cells.values()):
        if cell["type"] != "$scopeinfo":
            for bits in cell["connections"].values():
                for bit in bits:
                    if isinstance(bit, int):  # constants are strings
                        members.setdefault(bit, set()).add(index)
    starts, ends, weights = [np.empty(0, int)], [np.empty(0, int)], [np.empty(0)]
    for net in members.values():
        if 1 < len(net) <= MAX_CELLS:
            pins = np.array(sorted(net))
            start, end = np.triu_indices(len(pins), 1)
            starts.append(pins[start])
            ends.append(pins[end])
            weights.append(np.full(len(start), 1.0 / (len(pins) - 1)))
    where = (np.concatenate(starts), np.concatenate(ends))
    half = coo_matrix((np.concatenate(weights), where), shape=(len(cells), len(cells))).tocsr()
    return half + half.T


def solved(matrix: csr_matrix, right: np.ndarray) -> np.ndarray:
    """Solve for all columns of ``right`` by conjugate gradients, the diagonal as preconditioner.

    Parameters
    ----------
    matrix
        Symmetric and positive definite, ``(n, n)``.
    right
        ``(n, columns)``.

    Returns
    -------
    np.ndarray
        ``(n, columns)``.
    """
    smallest = 1e-30  # a column that is solved already divides by it
    diagonal = matrix.diagonal()[:, None]
    result, rest = np.zeros_like(right), right.copy()
    scaled = rest / diagonal
    way = scaled.copy()
    power, size = (rest * scaled).sum(0), np.sqrt((right * right).sum(0)) + smallest
    for _ in range(ITERATIONS):
        image = matrix @ way
        step = power / np.maximum((way * image).sum(0), smallest)
        result += step * way
        rest -= step * image
        if (np.sqrt((rest * rest).sum(0)) / size).max() < TOLERANCE:
            break
        scaled = rest / diagonal
        next_power = (rest * scaled).sum(0)
        way = scaled + (next_power / np.maximum(power, smallest)) * way
        power = next_power
    return result


def annealed(
    affinities: Affinities, rng: np.random.Generator, moves: int
) -> tuple[np.ndarray, float]:
    """Exchange sites until affinity times distance, added over all pairs, is least.

    Parameters
    ----------
    affinities
        What to place.
    rng
        Decides where it begins and what is tried.
    moves
        How many are tried.

    Returns
    -------
    np.ndarray
        Indices of sites, those of all types in one row, ``(blocks,)``.
    float
        The sum, in tiles.
    """
    first, places = {}, []
    for kind, sites in SITES.items():
        first[kind] = len(places)
        places += [site[:2] for site in sites]
    at = np.array(places, float)
    distance = np.abs(at[:, None] - at[None]).sum(2)
    kinds, pull = np.array(affinities.kinds), affinities.between
    site = np.empty(len(kinds), int)
    for kind, sites in SITES.items():
        of_kind = kinds == kind
        site[of_kind] = first[kind] + rng.permutation(len(sites))[: of_kind.sum()]
    occupant = np.full(len(at), -1)
    occupant[site] = np.arange(len(site))

    mean = pull.sum(1).mean()
    total = (pull * distance[np.ix_(site, site)]).sum() / 2
    for move in range(moves):
        done = move / moves
        block = rng.integers(len(site))
        kind = affinities.kinds[block]
        old, new = site[block], first[kind] + rng.integers(len(SITES[kind]))
        reach = REACH + (LAST_REACH - REACH) * (2 * done - 1)
        if new == old or (done > 1 / 2 and distance[old, new] > reach):
            continue
        other = occupant[new]
        farther = distance[new, site] - distance[old, site]
        change = pull[block] @ farther
        if other >= 0:
            change -= pull[other] @ farther
            change += 2 * pull[block, other] * distance[new, old]
        heat = HOTTEST * (COLDEST / HOTTEST) ** done * mean
        if change < 0 or rng.random() < np.exp(-change / heat):
            total += change
            site[block], occupant[new], occupant[old] = new, block, other
            if other >= 0:
                site[other] = old
    return site, total


def choose_sites(
    cells: Mapping[str, Mapping[str, Any]], *, seed: int = 1, moves: int = MOVES
) -> dict[str, str]:
    """Choose a site for every multiplier and block RAM.

    Parameters
    ----------
    cells
        Of the only module of a netlist, as Yosys writes them.
    seed, moves
        Of the annealing.

    Returns
    -------
    dict[str, str]
        Names of sites by name of cell.

    Raises
    ------
    SynthesisError
        If the part has too few sites.
    """
    for kind, sites in SITES.items():
        needed = sum(cell["type"] == kind for cell in cells.values())
        if needed > len(sites):
            raise SynthesisError(f"the netlist has {needed} {kind}, an LFE5U-85F has {len(sites)}")
    if not any(cell["type"] in SITES for cell in cells.values()):
        return {}
    affinities = Affinities.of_cells(cells)
    site, _ = annealed(affinities, np.random.default_rng(seed), moves)
    names = [name for sites in SITES.values() for _, _, name in sites]
    return {block: names[index] for block, index in zip(affinities.blocks, site, strict=True)}


def fix_sites(netlist: Path) -> None:
    """Write the chosen sites into ``netlist``, a flattened module of Yosys in JSON."""
    design = json.loads(netlist.read_text())
    cells = max((module["cells"] for module in design["modules"].values()), key=len)
    for name, site in choose_sites(cells).items():
        cells[name]["attributes"]["BEL"] = site
    netlist.write_text(json.dumps(design))
