"""Transposed convolutions: what is refused, and the phases that the engine runs."""

import numpy as np
import pytest
from judge import NO_PADDING, activation, constant, network

from hdl.config import SMALL
from mmsp.compiler import compile_graph
from mmsp.compiler.legalize import legalize
from mmsp.compiler.lower.transpose_conv import phase_taps
from mmsp.compiler.program import layer_macs
from mmsp.errors import InputError


def graph_of(*, shape=(1, 6, 4, 3), kernel=(2, 2), channels=2, declared=None, stride=(2, 2)):
    """One TRANSPOSE_CONV of a 3 x 2 image of two channels."""
    image, output = activation("x", (1, 3, 2, 2)), activation("y", shape)
    weights = constant("weights", np.ones((3, *kernel, channels), np.int8), (0.1,))
    declared = constant("shape", np.array(declared or shape, np.int32))
    attributes = {"stride": stride, "padding": NO_PADDING, "activation": "NONE"}
    return network(("TRANSPOSE_CONV", (declared, weights, image), output, attributes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 4}, "weights 'weights' of shape (3, 2, 2, 4) do not fit 2 input channels"),
        ({"declared": (1, 5, 4, 3)}, "the output shape says [1, 5, 4, 3]"),
        ({"shape": (1, 6, 4, 5)}, "weights 'weights' have 3 output channels"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(InputError) as caught:
        legalize(graph_of(**changes))
    assert message in str(caught.value)
    assert "node 'transpose_conv_0'" in str(caught.value)


@pytest.mark.parametrize("kernel", range(1, 6))
@pytest.mark.parametrize("stride", range(1, 4))
@pytest.mark.parametrize("before", range(3))
def test_every_tap_belongs_to_one_phase(kernel, stride, before):
    """Phase by phase, each tap meets the input that the definition says."""
    seen = []
    for phase in range(stride):
        taps, padding = phase_taps(phase, before, stride, kernel)
        for position, tap in enumerate(taps.tolist()):
            for index in range(4):
                source = index - padding + position
                assert source * stride - before + tap == phase + stride * index
        seen.extend(taps.tolist())
    assert sorted(seen) == list(range(kernel))


def test_no_inserted_zero_is_multiplied():
    """A 3x3 kernel at stride 2: four phases of 4, 2, 2 and 1 taps, nine in all."""
    program = compile_graph(graph_of(shape=(1, 7, 5, 3), kernel=(3, 3)), SMALL)
    assert sorted(len(job.tiles[0]) for job in program.jobs) == [1, 2, 2, 4]
    assert [job.fields["out_row_step"] for job in program.jobs] == [2] * 4
    assert layer_macs(program.layers[0], program.graph) == 3 * 2 * 3 * 9 * 2
