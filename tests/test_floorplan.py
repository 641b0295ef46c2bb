"""Sites of multipliers and block RAMs: legal, and near what they are connected to."""

import json

import numpy as np
import pytest

from fpga.floorplan import SITES, Affinities, annealed, choose_sites, fix_sites
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


def test_affinity_is_one_over_the_length_of_a_chain():
    cells = {
        "a": cell("MULT18X18D", 1, 11, 20),
        "l1": cell("LUT4", 1, 2),
        "l2": cell("LUT4", 2, 3),
        "b": cell("MULT18X18D", 3, 20),
        "l3": cell("LUT4", 11, 12),
        "c": cell("DP16KD", 12, 20, 30),
        "apart": cell("MULT18X18D", 40),
        "loose": cell("LUT4", 41, 42),
        "end": cell("LUT4", 41, 42),
        "$name": cell("$scopeinfo", 1, 12),
        **{f"enable_{i}": cell("LUT4", 30) for i in range(100)},
        "enabled": cell("MULT18X18D", 30),
    }
    found = Affinities.of_cells(cells)
    assert found.blocks == ["a", "b", "c", "apart", "enabled"]
    assert found.kinds == ["MULT18X18D", "MULT18X18D", "DP16KD", "MULT18X18D", "MULT18X18D"]
    expected = np.zeros((5, 5))
    expected[0, 1] = 1 / 3 + 1 / 2  # a chain of three nets and a net of three cells
    expected[0, 2] = 1 / 2 + 1 / 2
    expected[1, 2] = 1 / 2
    np.testing.assert_allclose(found.between, expected + expected.T, atol=1e-3)


def test_connected_blocks_are_neighbours():
    seed = 3
    print("seed", seed)
    cells, group_of = clustered(seed)
    sites = choose_sites(cells, moves=60_000)
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
    assert np.median(spans) <= 20
    assert max(spans) <= 45


def test_annealing_keeps_account():
    seed = 9
    print("seed", seed)
    cells, _ = clustered(seed)
    affinities = Affinities.of_cells(cells)
    begin, longest = annealed(affinities, np.random.default_rng(seed), 0)
    site, total = annealed(affinities, np.random.default_rng(seed), 20_000)
    at = np.array([place[:2] for places in SITES.values() for place in places], float)
    for chosen, claimed in ((begin, longest), (site, total)):
        distance = np.abs(at[chosen][:, None] - at[chosen][None]).sum(2)
        assert (affinities.between * distance).sum() / 2 == pytest.approx(claimed, rel=1e-9)
    assert total < longest / 2


def test_choice_is_repeatable():
    cells, _ = clustered(5)
    assert choose_sites(cells, moves=2_000) == choose_sites(cells, moves=2_000)


def test_netlist_without_blocks_has_no_sites():
    assert choose_sites({"a": cell("LUT4", 1), "b": cell("LUT4", 1)}) == {}


def test_too_many_blocks_are_refused():
    cells = {f"cell_{i}": cell("MULT18X18D", 1) for i in range(157)}
    with pytest.raises(SynthesisError, match="has 157 MULT18X18D, an LFE5U-85F has 156"):
        choose_sites(cells)


def test_sites_are_written_into_the_netlist(tmp_path, monkeypatch):
    cells = {"m": cell("MULT18X18D", 1, 2), "r": cell("DP16KD", 2), "l": cell("LUT4", 1, 2)}
    chosen = {"m": "X4/Y10/MULT18_0", "r": "X4/Y22/EBR0"}
    monkeypatch.setattr(
        "fpga.floorplan.choose_sites", lambda given: chosen if given == cells else 0
    )
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps({"modules": {"empty": {"cells": {}}, "top": {"cells": cells}}}))
    fix_sites(path)
    written = json.loads(path.read_text())["modules"]["top"]["cells"]
    sites = {name: c["attributes"].pop("BEL") for name, c in written.items() if c["attributes"]}
    assert sites == chosen
    assert written == cells
