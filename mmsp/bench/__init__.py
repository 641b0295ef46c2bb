"""Benchmarks: what networks cost on the chip, beside what they cost elsewhere."""

from mmsp.bench.measurement import Measurement, measure, prepare
from mmsp.bench.mlperf_tiny import NETWORKS, PEERS, Network, Peer, recognise

__all__ = ["NETWORKS", "PEERS", "Measurement", "Network", "Peer", "measure", "prepare", "recognise"]
