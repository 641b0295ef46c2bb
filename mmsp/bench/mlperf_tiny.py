"""The four networks of MLPerf Tiny, and published cycles of others for them.  All data is here.

The project ships none of the networks: they are in the public repository ``mlcommons/tiny``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["NETWORKS", "PEERS", "REPOSITORY", "Network", "Peer", "recognise"]

REPOSITORY = "https://github.com/mlcommons/tiny"
RESULTS = "https://github.com/mlcommons/tiny_results"


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network of the suite, int8.

    ``macs`` of one inference; ``weight_bytes`` of all constants in the file: weights, biases (four
    bytes each) and shapes.  Together they tell it from any other network we know of.
    """

    key: str
    title: str
    file: str
    macs: int
    weight_bytes: int


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Somebody else's figures.

    ``kilocycles`` of one inference, by the key of the network, in thousands; a network that is not
    there was not published.  ``source`` says where they are from, and how they came about.
    """

    name: str
    kilocycles: Mapping[str, float]
    source: str


NETWORKS = (
    Network(
        key="AD", title="anomaly detection", file="ad01_int8.tflite",
        macs=264_192, weight_bytes=270_880,
    ),
    Network(
        key="KWS", title="keyword spotting", file="kws_ref_model.tflite",
        macs=2_656_768, weight_bytes=24_376,
    ),
    Network(
        key="VWW", title="visual wake words", file="vww_96_int8.tflite",
        macs=7_489_664, weight_bytes=219_072,
    ),
    Network(
        key="IC", title="image classification", file="pretrainedResnet_quant.tflite",
        macs=12_501_632, weight_bytes=78_752,
    ),
)  # fmt: skip

PEERS = (
    Peer(
        name="GAP9 NE16",
        kilocycles={"AD": 65.0, "KWS": 175.7, "VWW": 415.9, "IC": 227.8},
        source="measured on silicon at 240 MHz, 0.65 V; latency x clock; MLPerf Tiny v1.0, "
        f"{RESULTS}_v1.0",
    ),
    Peer(
        name="NDP120",
        kilocycles={"KWS": 134.1, "VWW": 390.6, "IC": 490.4},
        source="Syntiant, measured on silicon at 30.7 MHz; latency x clock; MLPerf Tiny v1.0, "
        f"{RESULTS}_v1.0",
    ),
    Peer(
        name="Ethos-U55 256 MAC",
        kilocycles={"AD": 40.9, "KWS": 56.2, "VWW": 147, "IC": 107},
        source="estimate of Arm Vela 5.2 with on-chip SRAM, not measured",
    ),
    Peer(
        name="Ethos-U55 128 MAC",
        kilocycles={"AD": 40.9, "KWS": 87.7, "VWW": 210, "IC": 184},
        source="estimate of Arm Vela 5.2 with on-chip SRAM, not measured",
    ),
    Peer(
        name="fpgaConvNet",
        kilocycles={"KWS": 46.3, "VWW": 1053, "IC": 58.8},
        source="ZedBoard, a design of its own for each network with 190-211 DSP, measured; latency "
        f"x clock; MLPerf Tiny v1.1, {RESULTS}_v1.1",
    ),
)


def recognise(macs: int, weight_bytes: int) -> Network | None:
    """The network of the suite with exactly these sizes, whatever its file is called."""
    for network in NETWORKS:
        if (network.macs, network.weight_bytes) == (macs, weight_bytes):
            return network
    return None
