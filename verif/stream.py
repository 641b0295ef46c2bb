"""cocotb drivers and checker for Amaranth ``stream`` ports.

All three sample on the rising edge of the clock that *cocotb* drives, where they see the values
from before the edge.  Never point them at a clock generated inside the design: Verilator reports
those edges after the registers have changed.
"""

from collections.abc import Iterable, Iterator
from itertools import repeat

import cocotb
from cocotb.triggers import RisingEdge

__all__ = ["StreamPort", "StreamSink", "StreamSource", "check_stream_rules"]


class StreamPort:
    """The three handles of one stream port, by Amaranth's ``port__member`` naming."""

    def __init__(self, dut, name: str):
        self.name = name
        self.clk = dut.clk
        self.rst = dut.rst
        self.payload = dut[f"{name}__payload"]
        self.valid = dut[f"{name}__valid"]
        self.ready = dut[f"{name}__ready"]

    def transfers(self) -> bool:
        """Whether the edge that just happened moved a payload."""
        return self.valid.value == 1 and self.ready.value == 1


class StreamSource:
    """Feeds an input port of the design.

    ``stall`` yields, before each attempt, whether to idle for a cycle.
    """

    def __init__(self, dut, name: str, stall: Iterable[bool] = repeat(False)):
        self.port = StreamPort(dut, name)
        self.stall: Iterator[bool] = iter(stall)
        self.port.valid.value = 0

    async def send(self, payloads: Iterable[int]) -> None:
        """Transfer every payload, in order; at full rate when nothing stalls.

        Negative payloads are sent as two's complement.
        """
        mask = (1 << len(self.port.payload)) - 1
        for payload in payloads:
            while next(self.stall):
                self.port.valid.value = 0
                await RisingEdge(self.port.clk)
            self.port.payload.value = int(payload) & mask
            self.port.valid.value = 1
            await RisingEdge(self.port.clk)
            while not self.port.transfers():
                await RisingEdge(self.port.clk)
        self.port.valid.value = 0


class StreamSink:
    """Drains an output port of the design, and checks the stream rules while it lives.

    ``stall`` yields, in each cycle, whether to refuse data.
    """

    def __init__(self, dut, name: str, stall: Iterable[bool] = repeat(False)):
        self.port = StreamPort(dut, name)
        self.stall: Iterator[bool] = iter(stall)
        self.port.ready.value = 0
        cocotb.start_soon(check_stream_rules(self.port))

    async def receive(self, count: int, *, signed: bool = True) -> list[int]:
        """Collect ``count`` payloads as signed (or unsigned) integers."""
        received = []
        while len(received) < count:
            self.port.ready.value = not next(self.stall)
            await RisingEdge(self.port.clk)
            if self.port.transfers():
                payload = self.port.payload.value
                received.append(payload.to_signed() if signed else payload.to_unsigned())
        self.port.ready.value = 0
        return received


async def check_stream_rules(port: StreamPort) -> None:
    """Fail the test if an offered payload changes or vanishes before it is accepted."""
    offered = None
    while True:
        await RisingEdge(port.clk)
        if port.rst.value == 1:
            offered = None
            continue
        if offered is not None:
            assert port.valid.value == 1, f"{port.name}: valid dropped before the transfer"
            assert port.payload.value == offered, f"{port.name}: payload changed while waiting"
        waiting = port.valid.value == 1 and port.ready.value == 0
        offered = port.payload.value if waiting else None
