"""Networks beside those of MLPerf Tiny that show what else the engine does: a GAN, an LSTM.

The project ships none of them.  Nobody has published cycles of others for them.
"""

from dataclasses import dataclass

__all__ = ["FURTHER", "FurtherNetwork"]


@dataclass(frozen=True, kw_only=True)
class FurtherNetwork:
    """A network that `mmsp bench --models` looks for, and where it is from."""

    title: str
    file: str
    origin: str


FURTHER = (
    FurtherNetwork(
        title="GAN generator of digits",
        file="ryhan_dcgan_mnist_generator_int8.tflite",
        origin="https://github.com/Ryhan9834/DigitDCGAN, quantised by the TensorFlow converter",
    ),
    FurtherNetwork(
        title="LSTM that reads digits",
        file="trained_lstm_int8.tflite",
        origin="https://github.com/tensorflow/tflite-micro",
    ),
)
