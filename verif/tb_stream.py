"""cocotb bench of the stream helpers: increments arrive in order under every mix of stalls."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, gather

from verif.bench import coin, log_uniform, parameters, start
from verif.stream import StreamSink, StreamSource

COUNT = 100


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.3], sink_stall=[0.0, 0.3])
async def arrives_in_order(dut, source_stall: float, sink_stall: float) -> None:
    """Every payload arrives once, incremented by the parameter ``step``."""
    rng = np.random.default_rng(cocotb.RANDOM_SEED)
    source = StreamSource(dut, "i", coin(rng, source_stall))
    sink = StreamSink(dut, "o", coin(rng, sink_stall))
    await start(dut)
    sent = log_uniform(rng, bits=15, size=COUNT)
    _, received = await gather(source.send(sent.tolist()), sink.receive(COUNT))
    np.testing.assert_array_equal(received, sent + parameters()["step"])


@cocotb.test(timeout_time=10, timeout_unit="us")
async def keeps_full_rate(dut) -> None:
    """Without stalls, one payload moves in each cycle."""
    source, sink = StreamSource(dut, "i"), StreamSink(dut, "o")
    await start(dut)
    cycles = 0

    async def count() -> None:
        nonlocal cycles
        while True:
            await RisingEdge(dut.clk)
            cycles += 1

    cocotb.start_soon(count())
    await gather(source.send(range(COUNT)), sink.receive(COUNT))
    assert COUNT <= cycles <= COUNT + 4
