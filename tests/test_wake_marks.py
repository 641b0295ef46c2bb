"""Wake marks: large enough to hide a wake-up, from an account of the stream that misses no word."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from burst_model import run_bursts
from judge import activation, convolution, network, random_int8, small_network
from judge import constant as make_constant
from published import DATA, needs_data
from recurrent_networks import lstm

from hdl.config import ECP5, FULL, SMALL
from hdl.engine.descriptor import WAKE_UNIT, Operation
from mmsp.compiler import compile_graph
from mmsp.compiler.power import stream_timing, wake_marks
from mmsp.compiler.power.stream_timing import consumption, wake_cycles
from mmsp.errors import InputError
from mmsp.fuzz.campaign import network_of
from mmsp.importers.tflite import read_tflite
from mmsp.zoo import digits_model

MLPERF_TINY = ("ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8")
WAKEUPS = (5, 50, 500)
"""0.1, 1 and 10 us at 50 MHz."""

OVERHEAD = 10
"""Cycles that sequencer and controller add to the macro's wake-up, some more than they take."""


@pytest.fixture
def all_turns(monkeypatch):
    """Follow every group, every stripe and every turn of a loop, not only the first and last."""
    monkeypatch.setattr(stream_timing, "WHOLE", 1 << 30)
    monkeypatch.setattr(stream_timing, "MOST_TURNS", 1 << 30)


def fully_connected(rng, inputs, outputs):
    weights = make_constant("weights", random_int8(rng, (outputs, 1, 1, inputs)), (0.01,))
    ends = activation("x", (1, 1, 1, inputs)), activation("y", (1, 1, 1, outputs))
    return network(convolution(ends[0], weights, None, ends[1]))


@needs_data
@pytest.mark.parametrize("wakeup", WAKEUPS)
@pytest.mark.parametrize("name", MLPERF_TINY)
def test_marks_hide_wake_ups(name, wakeup, all_turns):
    path = DATA / f"mlcommons-tiny/models/{name}.tflite"
    config = replace(FULL, mram_wakeup=wakeup)
    program = compile_graph(read_tflite(path.read_bytes(), name), config)
    words, marks = consumption(program.jobs, config).words(), wake_marks(program.jobs, config)
    always = run_bursts(words, marks, config, overhead=OVERHEAD, gated=False)
    gated = run_bursts(words, marks, config, overhead=OVERHEAD)
    assert gated.words == len(program.words)
    assert gated.late == always.late  # the first wake-up, which nothing can hide
    assert gated.awake <= 1.02 * gated.words
    assert gated.wakes <= -(-gated.words // (config.cache_words // 2))
    if gated.wakes > 1:
        without = run_bursts(words, [0] * len(marks), config, overhead=OVERHEAD)
        assert without.late >= gated.late + wakeup


@pytest.mark.parametrize("config", [FULL, ECP5, SMALL], ids=lambda config: config.name)
def test_every_word_is_accounted_for(config, all_turns, seed):
    """Addresses that the estimate takes are those of the program, in order, repeats aside."""
    seen = Counter()
    for index in range(25):
        try:
            program = compile_graph(network_of(seed, index, config)[0], config)
        except InputError:
            continue
        times, owners, addresses = consumption(program.jobs, config).words()
        assert np.array_equal(np.unique(addresses), np.arange(len(program.words)))
        assert (np.diff(times) > 0).all()
        furthest = np.maximum.accumulate(addresses)
        assert (np.diff(furthest) <= 1).all()
        assert owners.max(initial=0) == len(program.jobs) - 1
        seen["again"] += bool((addresses != furthest).any())
        seen["loops"] += any(job.fields["operation"] is Operation.LOOP for job in program.jobs)
        seen["programs"] += 1
    assert seen["programs"] > 12, seen
    assert min(seen["loops"], seen["again"]) > 0, seen


def test_skipped_turns_are_like_the_others(rng, monkeypatch):
    """What is left out of long jobs and loops changes no mark, and no cycle of the whole."""
    weights = make_constant("weights", random_int8(rng, (256, 3, 3, 32)), (0.01,))
    ends = activation("x", (1, 30, 30, 32)), activation("y", (1, 28, 28, 256))
    for graph in (
        network(convolution(ends[0], weights, None, ends[1])),
        fully_connected(rng, 640, 256),
        lstm(rng, steps=12, inputs=8, units=20),
    ):
        config = replace(FULL, name="LARGE", activation_kib=512)
        program = compile_graph(graph, config)
        short = consumption(program.jobs, config)
        marks = [job.fields["wake_mark"] for job in program.jobs]
        with monkeypatch.context() as patch:
            patch.setattr(stream_timing, "WHOLE", 1 << 30)
            patch.setattr(stream_timing, "MOST_TURNS", 1 << 30)
            assert wake_marks(program.jobs, config) == marks
            whole = consumption(program.jobs, config)
        assert len(whole.words()[0]) > len(short.words()[0])
        if len(program.jobs) == 1:
            assert whole.free == short.free


def test_marks_are_the_most_words_of_any_window(seed):
    """The definition, word by word."""
    compared = 0
    for config in (FULL, SMALL):
        graph, _ = network_of(seed, 4, config)
        program = compile_graph(graph, config)
        times, owners, _ = (part.tolist() for part in consumption(program.jobs, config).words())
        most = config.cache_words * 3 // 4 // WAKE_UNIT
        for index, job in enumerate(program.jobs):
            needed = 0
            for at, owner in enumerate(owners):
                if owner == index:
                    until = times[at] + wake_cycles(config)
                    needed = max(needed, sum(times[at] < time <= until for time in times[at:]))
            assert job.fields["wake_mark"] == min(-(-needed // WAKE_UNIT), most)
            compared += 1
    assert compared > 5


def test_marks_of_known_rates(rng):
    """One word a cycle needs a word for every cycle of the wake-up; a slow layer a few tiles."""
    program = compile_graph(fully_connected(rng, 640, 64), FULL)
    (mark,) = wake_marks(program.jobs, FULL)
    assert mark == -(-wake_cycles(FULL) // WAKE_UNIT)
    # 36 tiles of 16 words, 64 cycles each; 9 words of parameters come with a group's first tile.
    weights = make_constant("weights", random_int8(rng, (64, 3, 3, 64)), (0.01,))
    ends = activation("x", (1, 18, 18, 64)), activation("y", (1, 16, 16, 64))
    program = compile_graph(network(convolution(ends[0], weights, None, ends[1])), FULL)
    line = consumption(program.jobs, FULL)
    assert 0 < line.free - 4 * 4 * 36 * 64 < 64
    (mark,) = wake_marks(program.jobs, FULL)
    assert 16 + 9 <= mark * WAKE_UNIT <= 2 * 16 + 9 + WAKE_UNIT


def test_marks_have_limits(rng):
    graph = fully_connected(rng, 640, 64)
    slow = replace(FULL, mram_wakeup=5_000)
    program = compile_graph(graph, slow)
    assert wake_marks(program.jobs, slow) == [FULL.cache_words * 3 // 4 // WAKE_UNIT] == [96]
    for config in (FULL, SMALL):
        program = compile_graph(small_network(), config)
        most = config.cache_words * 3 // 4 // WAKE_UNIT
        assert all(0 < job.fields["wake_mark"] <= most for job in program.jobs)
    # An image may meet another wake-up than it was compiled for: only the marks differ.
    program, other = (compile_graph(graph, config) for config in (FULL, slow))
    differ = np.flatnonzero((program.words != other.words).any(axis=1))
    assert differ.tolist() == [0]


def test_bursts_of_the_digit_network(all_turns):
    """A ring of 64 words, refilled many times: late by less than without marks."""
    program = compile_graph(read_tflite(digits_model(), "digits"), SMALL)
    words = consumption(program.jobs, SMALL).words()
    marks = wake_marks(program.jobs, SMALL)
    gated, without = (
        run_bursts(words, each, SMALL, overhead=OVERHEAD) for each in (marks, [0] * len(marks))
    )
    assert gated.wakes > 5
    assert gated.late < without.late
