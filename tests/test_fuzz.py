"""The fuzzer: what it draws, that it convicts planted faults, and a few networks on every run."""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hdl.config import CONFIGS, SMALL
from hdl.engine.descriptor import DESCRIPTOR_WORDS
from mmsp.compiler import compile_graph
from mmsp.compiler.layers import Conv, Pool
from mmsp.compiler.legalize.network import LEGALIZERS
from mmsp.errors import InputError
from mmsp.fuzz.__main__ import main
from mmsp.fuzz.campaign import Campaign, network_of
from mmsp.fuzz.coverage import network_coverage, program_coverage
from mmsp.fuzz.judge import Judge
from mmsp.fuzz.shrinker import shrink
from mmsp.fuzz.sketch import MAX_NODES
from mmsp.golden import executor, run_golden
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import run_tflm

NETWORKS = {"SMALL": 20, "FULL": 6}

DRAWN = {"SMALL": 400, "ECP5": 150, "FULL": 150}
"""Networks that are drawn and compiled: hundredths of a second each."""

NEVER = {"GRU", "RELU_N1_TO_1"}
"""TFLM knows no GRU, and the other as a fused activation only, where it is drawn."""

INT8_ONLY = {"SOFTMAX", "SVDF"}

FEATURES = {
    "broadcast", "constant operand", "depth multiplier > 4", "dilation", "drain ADD",
    "drain AVERAGE", "drain LEAKY", "drain MULTIPLY", "drain PRELU", "drain SCALE",
    "drain SUBTRACT", "feed DENSE", "feed PACKED", "feed WINDOW", "folded ASSIGN_VARIABLE",
    "folded PAD", "folded READ_VARIABLE", "folded RESHAPE", "groups > 1", "in place",
    "inner passes > 1", "int16 only", "int4 weights", "int8 and int16",
    "kernel of one row or column", "loop", "output read further", "packed", "read by several",
    "refetch", "reshape of other channels", "several inputs", "several outputs", "state",
    "stripes > 1", "strips of rows", "vector ADD", "vector COPY", "vector LOAD",
    "vector LOGISTIC", "vector MAXIMUM", "vector MINIMUM", "vector MULTIPLY", "vector SUBTRACT",
    "vector SUM", "vector TABLE", "vector TANH",
}  # fmt: skip
PAIRS = {f"{first} to {second}" for first in ("int8", "int16") for second in ("int8", "int16")}


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
    assert campaign.covered["operator CONV_2D int8"] > 0


@pytest.mark.parametrize("config", DRAWN)
def test_coverage(config, seed):
    """What networks reach, and how many of them the compiler refuses."""
    covered, refused, count = Counter(), Counter(), DRAWN[config]
    for index in range(count):
        graph, _ = network_of(seed, index, CONFIGS[config])
        assert 2 <= len(graph.nodes) <= MAX_NODES
        covered += network_coverage(graph)
        try:
            covered += program_coverage(compile_graph(graph, CONFIGS[config]))
        except InputError as error:
            refused[str(error)] += 1
    assert sum(refused.values()) < count / 20, refused
    operators = set(LEGALIZERS) - NEVER
    wanted = FEATURES | {f"operator {op} int8" for op in operators}
    if config == "SMALL":
        wanted |= PAIRS | {f"operator {op} int16" for op in operators - INT8_ONLY}
    assert wanted <= covered.keys(), f"never drawn: {sorted(wanted - covered.keys())}"


def test_networks_are_reproducible(seed):
    for index in range(5):
        (first, inputs), (second, again) = (network_of(seed, index, SMALL) for _ in range(2))
        assert write_tflite(first) == write_tflite(second)
        for one, other in zip(inputs, again, strict=True):
            assert one.keys() == other.keys()
            assert all(np.array_equal(one[name], other[name]) for name in one)


def test_golden_models_agree(seed):
    """Without a chip: TFLM runs what is drawn, and golden models give the same."""
    campaign = Campaign(Judge(SMALL, target="golden"), seed)
    campaign.run(100, first=1000)
    assert not campaign.failures, [f"{f.command}: {f.verdict.reason}" for f in campaign.failures]
    assert campaign.covered["state"] > 10
    assert np.mean(campaign.unsaturated) > 0.5, "most outputs sat at a limit: weak stimulus"


SHRUNK_ALONE = (
    "ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "MUL", "PAD", "QUANTIZE",
    "RESHAPE", "SPLIT_V", "SVDF", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM",
)  # fmt: skip


@cache
def drawn(seed):
    """Networks of several nodes to shrink, by operator."""
    found: dict[str, list] = {op: [] for op in SHRUNK_ALONE}
    for index in range(150):
        graph, samples = network_of(seed, index, SMALL)
        for op in {node.op for node in graph.nodes} & set(SHRUNK_ALONE):
            if len(found[op]) < 4 and len(graph.nodes) > 2:
                found[op].append((graph, samples))
    return found


@pytest.mark.parametrize("op", SHRUNK_ALONE)
def test_shrinks_to_one_node(op, seed):
    """Whatever the position of the culprit: before, after and between others."""
    for graph, samples in drawn(seed)[op]:

        def fails(graph, samples):
            return any(node.op == op for node in graph.nodes)

        small, few = shrink(graph, samples, fails)
        assert [node.op for node in small.nodes] == [op]
        assert len(few) == 1
        optional = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "TRANSPOSE_CONV": 3}
        if op in optional:
            assert len(small.nodes[0].inputs) == optional[op], "the bias is still there"
        shape = small.tensors[small.inputs[0]].shape
        if op in ("ADD", "QUANTIZE") and len(shape) == 4:
            assert shape[:3] == (1, 1, 1), "pixels are left that nothing needs"
        run_tflm(write_tflite(small), [few[0][name] for name in small.inputs])
    assert len(drawn(seed)[op]) > 2


def test_shrinks_what_a_variable_remembers(seed):
    """A fault that only later samples see leaves both ends of the variable, and two samples."""

    def forgetful(graph, layers, inputs, *, state):
        outputs = run_golden(graph, layers, inputs, state=state)
        assigned = {node.inputs[0] for node in graph.nodes if node.op == "ASSIGN_VARIABLE"}
        state.update({name: ~state[name] for name in assigned})
        return outputs

    campaign = Campaign(Judge(SMALL, golden=forgetful, target="golden"), seed)
    campaign.run(60)
    assert len(campaign.failures) > 1
    for failure in campaign.failures:
        assert failure.verdict.kind == "golden"
        assert len(failure.samples) == 2
        assert {node.op for node in failure.graph.nodes} == {"READ_VARIABLE", "ASSIGN_VARIABLE"}
        assert len(failure.graph.nodes) == 2
        assert len(failure.graph.variables) == 1


def test_finds_a_wrong_output_among_several(seed):
    """The last part of a split is wrong: the split is left."""

    def wrong(graph, layers, inputs, *, state):
        outputs = run_golden(graph, layers, inputs, state=state, keep_all=True)
        last = {node.outputs[-1] for node in graph.nodes if node.op.startswith("SPLIT")}
        return {name: outputs[name] ^ (name in last) for name in graph.outputs}

    campaign = Campaign(Judge(SMALL, golden=wrong, target="golden"), seed)
    campaign.run(80)
    assert len(campaign.failures) > 2
    for failure in campaign.failures:
        (node,) = failure.graph.nodes
        assert node.op in ("SPLIT", "SPLIT_V")
        assert failure.graph.outputs == [node.outputs[-1]]


@pytest.mark.sim
def test_finds_a_wrong_model(monkeypatch, seed, tmp_path):
    """A golden model that is wrong by one is convicted, and a single pool is left."""
    right = executor.KERNELS[Pool]

    def wrong(layer, operands, output):
        return right(layer, operands, output) ^ 1

    monkeypatch.setitem(executor.KERNELS, Pool, wrong)
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
        (["--target", "fpga"], "--target is 'fpga', and must be one of golden, program, rtl"),
        (["--count", "0"], "--count must be at least 1, and is 0"),
        (["--first", "-1"], "--first must be at least 0, and is -1"),
    ],
)
def test_bad_arguments(capsys, arguments, sentence):
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"fuzz: {sentence}\n"
