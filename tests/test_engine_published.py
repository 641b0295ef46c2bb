"""Published networks beyond MLPerf Tiny on the RTL: every output of their goldens, bit for bit."""

from dataclasses import dataclass

import numpy as np
import pytest
from published import DATA, needs_data

from mmsp.simulator.simulator import Simulator


@dataclass(frozen=True)
class Published:
    """A network and its golden, which has so many ``samples``."""

    folder: str
    model: str
    golden: str
    cycles: int
    samples: int
    reset_state: bool = False


NETWORKS = {
    "micro_speech": Published(
        "tensorflow-tflite-micro", "models/micro_speech_quantized", "micro_speech_quantized", 7_000,
        samples=4,
    ),
    "lstm": Published(
        "tensorflow-tflite-micro", "models/trained_lstm_int8", "trained_lstm_int8", 21_500,
        samples=10, reset_state=True,
    ),
    "vad": Published("esphome-micro-wake-word-models", "models/vad", "vad", 1_900, samples=399),
    "gan": Published(
        "derived-int8", "ryhan_dcgan_mnist_generator_int8", "ryhan_dcgan_mnist_generator_int8",
        111_000, samples=8,
    ),
    "gan_int16": Published(
        "derived-int8", "ryhan_dcgan_mnist_generator_int16x8",
        "ryhan_dcgan_mnist_generator_int16x8", 212_000, samples=8,
    ),
}  # fmt: skip
"""``cycles`` on FULL, rounded up: more would be a step back."""


@needs_data
@pytest.mark.sim
@pytest.mark.parametrize(
    ("name", "config"),
    [*((name, "FULL") for name in NETWORKS), ("micro_speech", "SMALL"), ("lstm", "SMALL"),
     ("vad", "SMALL")],
)  # fmt: skip
def test_outputs(name, config):
    network = NETWORKS[name]
    folder = DATA / network.folder
    golden = np.load(folder / "golden" / f"{network.golden}.npz")
    inputs, expected = golden["in0"], golden["out0"]
    with Simulator(folder / f"{network.model}.tflite", config) as simulator:
        (port,) = simulator.description.inputs
        result = simulator.run({port.name: inputs}, reset_state=network.reset_state)
    (outputs,) = result.outputs.values()
    assert len(outputs) == network.samples
    np.testing.assert_array_equal(outputs.reshape(expected.shape), expected)
    if config == "FULL":
        assert result.cycles <= network.cycles
