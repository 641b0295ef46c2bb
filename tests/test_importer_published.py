"""Networks of others: read, written, read back equal, and computed by TFLM as recorded."""

from dataclasses import replace

import numpy as np
import pytest
from published import DATA, needs_data

from mmsp.compiler.legalize import legalize
from mmsp.errors import InputError
from mmsp.importers.tflite import read_tflite
from mmsp.importers.tflite_writer import write_tflite
from mmsp.tflm import MicroInterpreter

READABLE = (
    "mlcommons-tiny/models/ad01_int8.tflite",
    "mlcommons-tiny/models/kws_ref_model.tflite",
    "mlcommons-tiny/models/pretrainedResnet.tflite",
    "mlcommons-tiny/models/pretrainedResnet_quant.tflite",
    "mlcommons-tiny/models/vww_96_int8.tflite",
    "tensorflow-tflite-micro/models/micro_speech_quantized.tflite",
    "tensorflow-tflite-micro/models/trained_lstm_int8.tflite",
    "esphome-micro-wake-word-models/models/vad.tflite",
    "derived-int8/ryhan_dcgan_mnist_generator_int8.tflite",
    "derived-int8/ryhan_dcgan_mnist_generator_int16x8.tflite",
)

JUDGED = (
    ("tensorflow-tflite-micro", "models", "micro_speech_quantized", False),
    ("tensorflow-tflite-micro", "models", "trained_lstm_int8", False),
    ("esphome-micro-wake-word-models", "models", "vad", True),
    ("derived-int8", "", "ryhan_dcgan_mnist_generator_int8", False),
    ("derived-int8", "", "ryhan_dcgan_mnist_generator_int16x8", False),
)
"""Source, folder and name of a network with recorded outputs of TFLM; whether its state lives on
from one input to the next."""

pytestmark = needs_data


@pytest.mark.parametrize("path", READABLE)
def test_round_trip_of_a_real_network(path):
    graph = read_tflite((DATA / path).read_bytes(), path)
    assert len(graph.nodes) >= 4
    again = read_tflite(write_tflite(graph), path)
    assert again == graph
    # Equality must look at the data, too.
    name = next(name for name, tensor in graph.tensors.items() if tensor.data is not None)
    data = graph.tensors[name].data.copy()
    data.reshape(-1).view(np.uint8)[0] ^= 1
    again.tensors[name] = replace(again.tensors[name], data=data)
    assert again != graph


@pytest.mark.parametrize(("source", "folder", "name", "streams"), JUDGED)
def test_tflm_gives_published_outputs_for_what_is_written(source, folder, name, streams):
    """Reading and writing loses nothing that TFLM computes with."""
    graph = read_tflite((DATA / source / folder / f"{name}.tflite").read_bytes(), name)
    golden = np.load(DATA / source / "golden" / f"{name}.npz")
    assert len(golden["in0"]) >= 4
    interpreter = MicroInterpreter(write_tflite(graph))
    for values, expected in zip(golden["in0"], golden["out0"], strict=True):
        if not streams:
            interpreter.reset()
        (output,) = interpreter.run([values])
        assert output.dtype == expected.dtype
        np.testing.assert_array_equal(output, expected)


def test_custom_operators_are_read():
    """They have names, and no attributes; legalisation refuses them."""
    path = "tensorflow-tflite-micro/models/audio_preprocessor_int8.tflite"
    graph = read_tflite((DATA / path).read_bytes(), "frontend")
    assert [node.op for node in graph.nodes][:3] == [
        "CUSTOM:SignalWindow", "RESHAPE", "CUSTOM:SignalFftAutoScale",
    ]  # fmt: skip
    with pytest.raises(InputError, match="CUSTOM:SignalWindow"):
        legalize(graph)
    with pytest.raises(InputError, match="operator CUSTOM:SignalWindow of frontend cannot be writ"):
        write_tflite(graph)
