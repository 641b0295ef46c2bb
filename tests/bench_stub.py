"""Measurements that no chip was simulated for.  Not a test."""

import numpy as np

from hdl.config import FULL
from hdl.power import Gating
from mmsp.bench import Measurement
from mmsp.references import Comparison
from mmsp.simulator import RunResult
from mmsp.simulator.binding import COUNTERS
from mmsp.simulator.simulator import LayerResult, Result


def fake_measurement(network=None, *, mismatches=0, cycles=50_000, model="some.tflite"):
    """A measurement that no chip was simulated for."""
    macs = network.macs if network else 1000
    layer = LayerResult(
        name="only", op="CONV_2D", cycles=cycles - 7, macs=macs, mac_utilisation=0.5,
        mram_bytes_read=160, program_bytes=128, mac_active_cycles=30_000, wait_weights_cycles=200,
        wait_drain_cycles=100,
    )  # fmt: skip
    result = Result(
        config=FULL, gating=Gating.PER_BURST, outputs={}, int8_outputs={}, cycles=cycles,
        cycles_each=[cycles], macs=macs,
        mac_utilisation=macs / (cycles * 256), roofline_cycles=40_000, mram_reads=10,
        mram_active_cycles=20, layers=[layer],
        first=RunResult(
            cycles=cycles, mram_reads=10, mram_active_cycles=20, mac_active_cycles=30_000,
            wait_weights_cycles=200, wait_drain_cycles=100, layers=(),
            samples=np.zeros((0, len(COUNTERS)), np.uint64), mram_bank_cycles=20, mram_wakeups=1,
            corrected=0,
        ),
    )  # fmt: skip
    return Measurement(
        model=model,
        network=network,
        weight_bytes=network.weight_bytes if network else 10,
        result=result,
        comparison=Comparison(12, {"golden": mismatches}, []),
    )
