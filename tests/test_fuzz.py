"""The fuzzer: what it draws, that it convicts planted faults, and a few networks on every run."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hdl.config import CONFIGS, SMALL
from hdl.engine.descriptor import DESCRIPTOR_WORDS
from mmsp import golden
from mmsp.compiler import compile_graph
from mmsp.compiler.layers import Conv, Pool
from mmsp.errors import InputError
from mmsp.fuzz.__main__ import main
from mmsp.fuzz.campaign import Campaign, coverage, network_of
from mmsp.fuzz.judge import Judge
from mmsp.fuzz.shrinker import shrink
from mmsp.golden import run_golden
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm

NETWORKS = {"SMALL": 20, "FULL": 6}

OPERATORS = (
    "ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D",
    "PAD", "RESHAPE", "SOFTMAX",
)  # fmt: skip

FEATURES = (
    "drain ADD", "drain AVERAGE", "drain SCALE", "feed DENSE", "feed PACKED", "feed WINDOW",
    "folded PAD", "folded RESHAPE", "groups > 1", "in place", "inner passes > 1",
    "output read further", "packed", "read by several", "refetch", "several inputs",
    "several outputs", "stripes > 1",
)  # fmt: skip


@pytest.mark.sim
@pytest.mark.parametrize("config", NETWORKS)
def test_networks(config, seed):
    with Judge(CONFIGS[config]) as judge:
        campaign = Campaign(judge, seed)
        campaign.run(NETWORKS[config])
    assert not campaign.failures, [f"{f.command}: {f.verdict.reason}" for f in campaign.failures]
    assert campaign.networks == NETWORKS[config]
    assert sum(campaign.refused.values()) < NETWORKS[config] / 5
    assert np.mean(campaign.unsaturated) > 0.5, "most outputs sat at a limit: weak stimulus"
    assert campaign.covered["operator CONV_2D"] > 0


@pytest.mark.parametrize("config", CONFIGS)
def test_coverage(config, seed):
    """What 150 networks reach, and how many of them the compiler refuses."""
    covered, refused, count = Counter(), Counter(), 150
    for index in range(count):
        graph, _ = network_of(seed, index, CONFIGS[config])
        assert 2 <= len(graph.nodes) <= 12
        try:
            covered += coverage(compile_graph(graph, CONFIGS[config]))
        except InputError as error:
            refused[str(error)] += 1
    assert sum(refused.values()) < count / 5, refused
    wanted = {f"operator {op}" for op in OPERATORS} | set(FEATURES)
    assert wanted <= covered.keys(), f"never drawn: {sorted(wanted - covered.keys())}"


def test_networks_are_reproducible(seed):
    for index in range(5):
        (first, inputs), (second, again) = (network_of(seed, index, SMALL) for _ in range(2))
        assert write_tflite(first) == write_tflite(second)
        for one, other in zip(inputs, again, strict=True):
            assert one.keys() == other.keys()
            assert all(np.array_equal(one[name], other[name]) for name in one)


def test_judge_and_golden_agree(seed):
    """Also without a chip: TFLM runs what is drawn."""
    for index in range(10):
        graph, samples = network_of(seed, index, SMALL)
        data = write_tflite(graph)
        graph = read_tflite(data, "network")
        layers = compile_graph(graph, SMALL).layers
        for sample in samples:
            outputs = run_golden(graph, layers, sample)
            judged = run_tflm(data, [sample[name] for name in graph.inputs])
            for name, expected in zip(graph.outputs, judged, strict=True):
                np.testing.assert_array_equal(outputs[name], expected)


@pytest.mark.parametrize("op", ["ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "PAD", "RESHAPE"])
def test_shrinks_to_one_node(op, seed):
    """Whatever the position of the culprit: before, after and between others."""
    shrunk = 0
    for index in range(20):
        graph, samples = network_of(seed, index, SMALL)
        if not any(node.op == op for node in graph.nodes):
            continue

        def fails(graph, samples):
            return any(node.op == op for node in graph.nodes)

        small, few = shrink(graph, samples, fails)
        assert [node.op for node in small.nodes] == [op]
        assert len(few) == 1
        assert len(small.nodes[0].inputs) <= 2, "the bias is still there"
        shape = small.tensors[small.inputs[0]].shape
        if op == "ADD" and len(shape) == 4:
            assert shape[:3] == (1, 1, 1), "pixels are left that nothing needs"
        run_tflm(write_tflite(small), [few[0][name] for name in small.inputs])
        shrunk += 1
    assert shrunk > 3


@pytest.mark.sim
def test_finds_a_wrong_model(monkeypatch, seed, tmp_path):
    """A golden model that is wrong by one is convicted, and a single pool is left."""
    right = golden.KERNELS[Pool]

    def wrong(layer, x):
        return right(layer, x) ^ 1

    monkeypatch.setitem(golden.KERNELS, Pool, wrong)
    with Judge(SMALL) as judge:
        campaign = Campaign(judge, seed)
        campaign.run(30)
    failures = [f for f in campaign.failures if f.verdict.kind == "golden"]
    assert failures
    for failure in failures:
        (node,) = failure.graph.nodes
        assert node.op in ("AVERAGE_POOL_2D", "MAX_POOL_2D")
    path = failures[0].save(tmp_path)
    assert read_tflite(path.read_bytes(), "saved").inputs == failures[0].graph.inputs
    with np.load(path.with_suffix(".npz")) as saved:
        assert sorted(saved.files) == sorted(failures[0].graph.inputs)
    assert "--config SMALL" in path.with_suffix(".txt").read_text()


@pytest.mark.sim
def test_finds_a_wrong_word(seed):
    """A bias that is wrong in the program of depthwise convolutions is the chip's fault."""

    def damage(program):
        words = program.words.copy()
        for job, offset in zip(program.jobs, program.job_offsets, strict=True):
            layer = program.layers[job.layer]
            if isinstance(layer, Conv) and layer.op == "DEPTHWISE_CONV_2D":
                words[offset + DESCRIPTOR_WORDS, 1] ^= 0x40  # bit 14 of the first bias
        return words

    with Judge(SMALL, words=damage) as judge:
        campaign = Campaign(judge, seed)
        campaign.run(20)
    assert campaign.failures
    for failure in campaign.failures:
        assert failure.verdict.kind == "rtl"
        (node,) = failure.graph.nodes
        assert node.op == "DEPTHWISE_CONV_2D"


@pytest.mark.sim
def test_survives_a_program_that_hangs(seed):
    """A chip that stops is a failure, and the next network gets a new one."""
    graph, samples = network_of(seed, 0, SMALL)
    with Judge(SMALL, words=lambda program: program.words[:-1] * 0 + 0xFF) as judge:
        assert judge.judge(graph, samples).kind in ("stopped", "rtl")
        judge.words = lambda program: program.words
        assert judge.judge(graph, samples).kind == "agree"


def test_refusals_are_not_failures(seed):
    graph, samples = network_of(seed, 0, SMALL)
    tiny = replace(SMALL, mram_kib=1)
    with Judge(tiny) as judge:
        verdict = judge.judge(graph, samples)
    assert verdict.kind == "refused"
    assert not verdict.failed
    assert "needs N bytes of MRAM" in verdict.reason


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config", "HUGE"], "--config names 'HUGE', and must be among FULL, ECP5, SMALL"),
        (["--count", "0"], "--count must be at least 1, and is 0"),
        (["--first", "-1"], "--first must be at least 0, and is -1"),
    ],
)
def test_bad_arguments(capsys, arguments, sentence):
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"fuzz: {sentence}\n"
