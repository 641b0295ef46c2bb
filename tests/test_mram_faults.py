# amaranth: UnusedElaboratable=no

"""MRAM with faults: what the controller makes of them, and updates that are interrupted."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from judge import random_int8, small_network

from hdl.config import MRAM_WORD_BYTES, SMALL
from mmsp.compiler import compile_graph
from mmsp.errors import InputError
from mmsp.image import read_image, write_image
from mmsp.slots import check_resident, choose_slot, update_order
from verif.faulty_mram import TIME_OUT, FaultyMram
from verif.sim import BUILD_ROOT, simulate

TINY = replace(
    SMALL, name="TINY", mram_kib=4, mram_banks=2, mram_wakeup=4, mram_write_cycles=5
)  # fmt: skip
"""2 banks of 128 words, and times that keep the benches short."""


@pytest.mark.sim
def test_faults():
    simulate(
        FaultyMram(TINY),
        bench="verif.tb_mram_faults",
        name="faulty_mram",
        parameters={
            "latency": TINY.mram_latency,
            "banks": TINY.mram_banks,
            "wakeup": TINY.mram_wakeup,
            "write_cycles": TINY.mram_write_cycles,
            "time_out": TIME_OUT,
        },
    )


def image_of(dense_seed, sequence):
    """An image of the small network with other weights in its last layer."""
    graph = small_network()
    dense = graph.tensors["dense"]
    values = random_int8(np.random.default_rng(dense_seed), dense.shape)
    graph.tensors["dense"] = replace(dense, data=values)
    return write_image(compile_graph(graph, TINY), sequence=sequence)


@pytest.mark.sim
@pytest.mark.parametrize("points", [20, pytest.param(200, marks=pytest.mark.long)])
def test_interrupted_update_leaves_a_slot_to_start(points):
    file_a, old_b, new_b = image_of(1, sequence=2), image_of(2, sequence=1), image_of(3, sequence=3)
    resident = {
        name: read_image(data, TINY).resident
        for name, data in (("slot_a", file_a), ("old_b", old_b), ("new_b", new_b))
    }
    words = {name: len(data) // MRAM_WORD_BYTES for name, data in resident.items()}
    first_b = words["slot_a"] + 2  # slot B begins in the bank of slot A
    assert first_b < TINY.mram_bank_words < first_b + words["new_b"]
    assert first_b + words["new_b"] <= TINY.mram_words
    order = update_order(new_b)
    results = BUILD_ROOT / "sim" / "faulty_mram" / f"interrupted_{points}.json"
    results.unlink(missing_ok=True)
    simulate(
        FaultyMram(TINY),
        bench="verif.tb_interrupted_write",
        name="faulty_mram",
        parameters={
            "latency": TINY.mram_latency,
            "banks": TINY.mram_banks,
            "first_b": first_b,
            "order": order,
            "head_words": order[0],
            "points": points,
            "results": str(results),
            **{name: data.hex() for name, data in resident.items()},
        },
    )
    found = json.loads(results.read_text())
    seen = found["seen"]
    assert len(found["points"]) == points
    assert seen["within a write"] >= points // 10, seen
    assert seen["between writes"] >= points // 20, seen
    if points >= 200:
        assert seen["torn, and not seen by the ECC"] >= 1, seen
    assert seen["finished"] >= 1, seen
    outcomes = Counter()
    for point in found["points"]:
        first = bytes.fromhex(point["slot_a"])  # None, if a word of it could not be read
        second = bytes.fromhex(point["slot_b"] or "")
        assert first == resident["slot_a"]
        read_image(first + file_a[len(first) :], TINY)
        chosen = choose_slot(first, second, TINY)
        assert chosen == point["complete"], seen
        if point["complete"]:
            assert second == resident["new_b"]
            read_image(second + new_b[len(second) :], TINY)
            outcomes["new"] += 1
            continue
        try:
            assert check_resident(second, TINY) == 1
        except InputError as error:
            outcomes["header" if "header" in str(error) or "magic" in str(error) else "CRC"] += 1
        else:
            assert second == resident["old_b"], "a mixture of two images counts as valid"
            outcomes["old"] += 1
    print(f"{points} points: {seen}; slot B: {dict(outcomes)}")
    assert outcomes["new"] >= 1
    assert outcomes["CRC"] + outcomes["header"] >= points // 2
