"""Loops on the RTL: a convolution's pixels one turn each, from the cache or from the MRAM."""

from dataclasses import replace

import numpy as np
import pytest
from judge import activation, constant, convolution, network, random_int8
from rtl import run_rtl

from hdl.config import SMALL
from hdl.engine.descriptor import DESCRIPTOR_WORDS, Operation
from mmsp.compiler import compile_graph
from mmsp.compiler.lower.jobs import END_WORDS, Job, encode_job, encode_payload
from mmsp.golden import run_golden

TURNS = 7
CHANNELS = 6, 9


def pointwise(rng):
    """A 1x1 convolution over one row, and its program of one job."""
    inputs, outputs = CHANNELS
    image = activation("x", (1, 1, TURNS, inputs), 0.1, 3)
    weights = constant("w", random_int8(rng, (outputs, 1, 1, inputs)), [0.05] * outputs)
    bias = constant("b", rng.integers(-99, 99, outputs).astype(np.int32), [0.005] * outputs)
    graph = network(convolution(image, weights, bias, activation("y", (1, 1, TURNS, outputs), 0.7)))
    return graph, compile_graph(graph, SMALL)


def looped(job, keep):
    """The job's first pixel, in a loop over all of them, twice; and once more behind the loop."""
    fields = job.fields | {
        "out_w_last": 0, "stripe_pixels_last": 0, "stripes_last": 0,
        "a_step": job.fields["a"]["pixel_words"], "out_step": job.fields["out_pixel_step"],
    }  # fmt: skip
    body = replace(job, fields=fields)
    bounds = {"turns_last": TURNS - 1, "keep": int(keep)}
    return [
        Job(layer=0, fields={"operation": Operation.LOOP, **bounds}),
        body,
        body,
        Job(layer=0, fields={"operation": Operation.AGAIN}),
        body,
    ]


@pytest.mark.sim
@pytest.mark.parametrize("keep", [True, False])
def test_pixels_in_turn(keep, rng):
    graph, program = pointwise(rng)
    (job,) = program.jobs
    jobs = looped(job, keep)
    payloads = [encode_payload(job, SMALL) for job in jobs]
    lengths = [DESCRIPTOR_WORDS + len(payload) for payload in payloads]
    behind = sum(lengths) + len(END_WORDS) - np.cumsum(lengths)
    parts = zip(jobs, payloads, behind.tolist(), strict=True)
    words = np.concatenate([*(encode_job(*part) for part in parts), END_WORDS])
    body = sum(lengths[1:4])
    assert body <= SMALL.cache_words
    inputs = [{"x": random_int8(rng, (1, 1, TURNS, CHANNELS[0]))} for _ in range(2)]
    for given, (outputs, run) in zip(
        inputs, run_rtl(replace(program, words=words), inputs), strict=True
    ):
        expected = run_golden(graph, program.layers, given)
        np.testing.assert_array_equal(outputs["y"], expected["y"])
        once = len(words)
        if keep:
            assert run.mram_reads == once
        else:
            # Each seek abandons what was read ahead, at most a cache's fill.
            ahead = run.mram_reads - once - (TURNS - 1) * body
            assert 0 <= ahead <= (TURNS - 1) * SMALL.cache_words
