"""Sites of multipliers and block RAMs: legal, near what they are connected to."""

import json

import numpy as np
import pytest

from fpga.floorplan import SHORTEST, SITES, Nets, choose_sites, fix_sites
from fpga.resources import LFE5U_85F
from fpga.synthesis import SynthesisError

GROUPS = 38
"""Of four multipliers and a block RAM each: 152 of 156 multipliers, as crowded as the chip."""


def cell(kind, *bits):
    return {"type": kind, "attributes": {}, "connections": {"P": list(bits), "CONSTANT": ["0"]}}


def clustered(seed):
    """Groups of blocks, each tied by LUTs of its own; names and order tell nothing."""
    rng = np.random.default_rng(seed)
    cells, group_of, bit = [], [], 0
    for group in range(GROUPS):
        blocks = ["MULT18X18D"] * 4 + ["DP16KD"]
        bits = [[] for _ in blocks]
        for _ in range(30):
            first, second = rng.choice(len(blocks), 2, replace=False)
            bits[first].append(bit)
            bits[second].append(bit + 1)
            cells.append(cell("LUT4", bit, bit + 1))
            group_of.append(-1)
            bit += 2
        for kind, own in zip(blocks, bits, strict=True):
            cells.append(cell(kind, *own))
            group_of.append(group)
    order = rng.permutation(len(cells))
    names = {f"cell_{number}": cells[index] for number, index in enumerate(order)}
    return names, np.array(group_of)[order]


def test_sites_are_those_of_the_part():
    assert len(SITES["MULT18X18D"]) == LFE5U_85F.multipliers
    assert len(SITES["DP16KD"]) == LFE5U_85F.block_rams
    names = [name for sites in SITES.values() for _, _, name in sites]
    assert len(set(names)) == len(names)
    assert all(f"X{x}/Y{y}/" in name for sites in SITES.values() for x, y, name in sites)


def test_bound_to_bound_squares_are_half_perimeters():
    seed = 11
    print("seed", seed)
    rng = np.random.default_rng(seed)
    cells = {f"cell_{i}": cell("LUT4", *rng.choice(12, 3, replace=False)) for i in range(30)}
    cells = {name: json.loads(json.dumps(c, default=int)) for name, c in cells.items()}
    nets = Nets.of_cells(cells)
    assert nets.sizes.max() > 3, "no net with inner cells"
    at = 10 * SHORTEST * rng.permutation(30 * 2).reshape(30, 2)
    squares = 0.0
    for axis in at.T:
        weights = nets.wires(axis).toarray()
        squares += (weights * (axis[:, None] - axis[None]) ** 2).sum() / 2
    assert squares == pytest.approx(nets.length(at), rel=1e-12)


def test_length_is_half_perimeters():
    nets = Nets(pins=np.array([0, 1, 0, 1, 2]), sizes=np.array([2, 3]), cells=3)
    assert nets.length(np.array([[0.0, 0], [3, 4], [-1, 9]])) == (3 + 4) + (4 + 9)


def test_connected_blocks_are_neighbours():
    seed = 3
    print("seed", seed)
    cells, group_of = clustered(seed)
    sites = choose_sites(cells)
    kinds = {name: kind for kind, all_ in SITES.items() for _, _, name in all_}
    places = {name: (x, y) for all_ in SITES.values() for x, y, name in all_}
    assert len(sites) == GROUPS * 5
    assert len(set(sites.values())) == len(sites)
    assert all(kinds[site] == cells[name]["type"] for name, site in sites.items())
    names = list(cells)
    spans = []
    for group in range(GROUPS):
        of_group = np.array([places[sites[names[i]]] for i in np.flatnonzero(group_of == group)])
        spans.append(np.ptp(of_group, axis=0).sum())
    print(f"spans: median {np.median(spans)}, largest {max(spans)}")
    # Four multipliers in a row span 5 tiles, the next row of block RAMs is 12 away; sites at random
    # span 120.
    assert np.median(spans) <= 25
    assert max(spans) <= 45


def test_choice_is_repeatable():
    cells, _ = clustered(5)
    assert choose_sites(cells) == choose_sites(cells)


def test_netlist_without_blocks_has_no_sites():
    assert choose_sites({"a": cell("LUT4", 1), "b": cell("LUT4", 1)}) == {}


def test_too_many_blocks_are_refused():
    cells = {f"cell_{i}": cell("MULT18X18D", 1) for i in range(157)}
    with pytest.raises(SynthesisError, match="has 157 MULT18X18D, an LFE5U-85F has 156"):
        choose_sites(cells)


def test_sites_are_written_into_the_netlist(tmp_path):
    cells = {"m": cell("MULT18X18D", 1, 2), "r": cell("DP16KD", 2), "l": cell("LUT4", 1, 2)}
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"empty": {"cells": {}}, "top": {"cells": cells}}}))
    fix_sites(path)
    written = json.loads(path.read_text())["modules"]["top"]["cells"]
    assert "BEL" not in written["l"]["attributes"]
    assert "MULT18" in written["m"]["attributes"]["BEL"]
    assert "EBR" in written["r"]["attributes"]["BEL"]
    for name in written:
        del written[name]["attributes"]
        assert written[name] == {k: v for k, v in cells[name].items() if k != "attributes"}
