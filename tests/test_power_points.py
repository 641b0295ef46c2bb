"""Segments that descriptors use and keep alive: enough for every network, and no more than used."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from published import DATA, needs_data
from recurrent_networks import lstm
from segment_walk import (
    RetentionError,
    descriptors,
    moved,
    reset_descriptors,
    touched,
    walk,
)

from hdl.config import ECP5, FULL, SMALL
from hdl.engine.descriptor import Operation
from mmsp.compiler import compile_graph
from mmsp.compiler.power import find_reach, footprint, loop_turns, placement_segments
from mmsp.description import describe
from mmsp.errors import InputError
from mmsp.fuzz.campaign import network_of
from mmsp.importers.tflite import read_tflite

PUBLISHED = (
    "mlcommons-tiny/models/ad01_int8",
    "mlcommons-tiny/models/kws_ref_model",
    "mlcommons-tiny/models/pretrainedResnet_quant",
    "mlcommons-tiny/models/vww_96_int8",
    "derived-int8/ryhan_dcgan_mnist_generator_int8",
    "derived-int8/ryhan_dcgan_mnist_generator_int16x8",
    "tensorflow-tflite-micro/models/micro_speech_quantized",
    "tensorflow-tflite-micro/models/trained_lstm_int8",
    "esphome-micro-wake-word-models/models/vad",
)
RANDOM_NETWORKS = 50


def compile_tight(graph, config):
    """For a chip with as much activation memory as the network takes: segments are small."""
    plan = compile_graph(graph, config).plan
    kib = max(1, -(-plan.words * config.rows * 4 // 1024))
    return compile_graph(graph, replace(config, name="TIGHT", activation_kib=kib))


def random_programs(seed, count, config=SMALL):
    """Programs of fuzzed networks that the compiler accepts."""
    programs, index = [], 0
    while len(programs) < count:
        graph, _ = network_of(seed, index, config)
        index += 1
        try:
            programs.append(compile_tight(graph, config))
        except InputError:
            continue
    return programs


@needs_data
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_keep_what_they_need(name):
    path = DATA / f"{name}.tflite"
    graph = read_tflite(path.read_bytes(), path.stem)
    for program in (compile_graph(graph, FULL), compile_tight(graph, FULL)):
        assert walk(program).off  # some segment is off in some job
    memory = walk(compile_graph(graph, ECP5))  # of one segment
    assert memory.off == memory.retained == 0


@needs_data
def test_tiled_network_keeps_what_it_needs():
    path = DATA / "mlcommons-tiny/models/vww_96_int8.tflite"
    graph = read_tflite(path.read_bytes(), path.stem)
    program = compile_graph(graph, replace(FULL, name="TILED", activation_kib=56))
    assert len(program.jobs) > 2 * len(program.layers)
    assert walk(program).off


def test_random_networks_keep_what_they_need(seed):
    seen = Counter()
    for program in random_programs(seed, RANDOM_NETWORKS):
        memory = walk(program)
        seen["retained"] += bool(memory.retained)
        seen["off"] += bool(memory.off)
        seen["variables"] += program.reset is not None
        for job in descriptors(program):
            seen[job["operation"].name] += 1
            if job["operation"] == Operation.JOB:
                seen[job["feed"].name] += 1
    assert min(seen["retained"], seen["off"]) > RANDOM_NETWORKS // 2, seen
    for kind in ("variables", "SOFTMAX", "VECTOR", "LOOP", "DENSE", "WINDOW", "PACKED"):
        assert seen[kind], kind


def test_every_bit_counts(rng, seed):
    """Without one of the bits that it needs, each of these programs is refused by the walk."""
    removed = Counter()
    for program in random_programs(seed, 16):
        original = descriptors(program)
        bits = [1 << k for k in range(program.config.activation_segments)]
        masks = {
            "used": [job["used"] for job in original[:-1]],
            "live": [
                needed & ~job["used"]
                for job, needed in zip(original[:-1], needed_between(program), strict=True)
            ],
        }
        for field, values in masks.items():
            places = [(at, bit) for at, mask in enumerate(values) for bit in bits if mask & bit]
            for at, bit in rng.permutation(places)[:8].tolist():
                jobs = list(original)
                jobs[at] = jobs[at] | {field: jobs[at][field] & ~bit}
                with pytest.raises(RetentionError):
                    walk(program, jobs)
                removed[field] += 1
    assert removed["used"] > 100, removed
    assert removed["live"] > 40, removed


def needed_between(program):
    """By job: segments of tensors that are written in an earlier step and read in a later one."""
    plan, order = program.plan, list(dict.fromkeys(job.layer for job in program.jobs))
    variables = {program.storage[name] for name in program.graph.variables}
    masks = []
    for job in program.jobs:
        step, mask = order.index(job.layer), 0
        for name, life in plan.lifetimes.items():
            if life.first < step < life.last and name not in variables:
                mask |= placement_segments(plan.placements[name], program.config)
        masks.append(mask)
    return masks


def words_of(ranges, words):
    """Which word addresses some ranges contain."""
    inside = np.zeros(words, bool)
    for first, last in ranges:
        inside[first : last + 1] = True
    return inside


def test_reach_covers_the_words_and_stays_within_tensors(seed):
    """What the compiler takes for touched: all that is, and nothing outside of living tensors."""
    compared = 0
    for program in random_programs(seed, 20):
        config, words = program.config, program.config.bank_words
        tensors = np.zeros(words, bool)
        for place in program.plan.placements.values():
            tensors[place.base : place.base + place.words] = True
        turns = loop_turns(program.jobs)
        decoded = descriptors(program)[:-1]
        for job, source, repeats in zip(decoded, program.jobs, turns, strict=True):
            for writes in (False, True):
                reaches = [r for r in find_reach(source.fields, config) if r.writes == writes]
                ranges = [
                    pair for reach in reaches for pair in zip(*reach.ranges(repeats), strict=True)
                ]
                reached = words_of(ranges, words)
                for turn in range(repeats):
                    for _, address in touched(moved(job, turn), config)[writes]:
                        assert reached[address].all()
                        compared += len(address)
                assert not (reached & ~tensors).any()
    assert compared > 10_000


def test_segments_at_the_ends(rng):
    graph = lstm(rng, steps=5, inputs=30, units=40)
    program = compile_tight(graph, SMALL)
    plan, config = program.plan, program.config
    tensors = {name: plan.placements[program.storage[name]] for name in graph.tensors
               if program.storage[name] in plan.placements}  # fmt: skip
    ends = [*graph.inputs, *graph.outputs, *graph.variables]
    assert program.held == footprint_of(tensors, ends, config)
    assert program.footprint == footprint(plan, config)
    assert program.footprint == footprint_of(plan.placements, plan.placements, config)
    assert (describe(program).footprint, describe(program).held) == (
        program.footprint,
        program.held,
    )
    *reset, end = reset_descriptors(program)
    variables = footprint_of(tensors, graph.variables, config)
    assert variables != program.held
    assert {job["live"] for job in (*reset, end)} == {variables}
    assert end["used"] == 0
    *_, end = jobs = descriptors(program)
    assert end["live"] == footprint_of(tensors, [*graph.outputs, *graph.variables], config)
    loops = [job for job in jobs if job["operation"] in (Operation.LOOP, Operation.AGAIN)]
    assert len(loops) == 2
    first, last = (jobs.index(job) for job in loops)
    assert {job["live"] for job in jobs[first : last + 1]} == {loops[0]["live"]}
    assert all(job["used"] == 0 for job in (*loops, end))


def footprint_of(placements, names, config):
    """Segments of tensors, address by address."""
    segments = 0
    for name in names:
        for address in np.unique(placements[name].addresses()[1]):
            segments |= 1 << int(address) // config.segment_words
    return segments
