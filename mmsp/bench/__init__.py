"""Benchmarks: what networks cost on the chip, beside what they cost elsewhere."""

from mmsp.bench.further_networks import FURTHER, FurtherNetwork
from mmsp.bench.measurement import Measurement, Unsupported, measure, prepare
from mmsp.bench.mlperf_tiny import NETWORKS, PEERS, Network, Peer, recognise

__all__ = [
    "FURTHER",
    "NETWORKS",
    "PEERS",
    "FurtherNetwork",
    "Measurement",
    "Network",
    "Peer",
    "Unsupported",
    "measure",
    "prepare",
    "recognise",
]
