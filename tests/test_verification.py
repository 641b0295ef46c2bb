# amaranth: UnusedElaboratable=no

"""The helpers that judge all other hardware: they must pass what is right and catch what is not."""

import pytest
from amaranth.hdl import Assert, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from stream_stub import Increment

from verif.formal import prove
from verif.sim import simulate
from verif.verilog import to_verilog


@pytest.mark.sim
def test_stream_bench_passes():
    simulate(Increment(3), bench="verif.tb_stream", name="increment", parameters={"step": 3})


@pytest.mark.sim
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("value", "Mismatched elements"),
        ("unstable", "o: payload changed while waiting"),
        ("assert", "too many transfers"),
    ],
)
def test_stream_bench_catches(fault, words, capsys):
    with pytest.raises(AssertionError, match=r"verif\.tb_stream failed with MMSP_SEED="):
        simulate(
            Increment(3, fault),
            bench="verif.tb_stream",
            name="increment_faulty",
            parameters={"step": 3},
        )
    assert words in capsys.readouterr().out


@pytest.mark.sim
def test_bench_without_tests_fails():
    # The name of the passing bench above: built once for both.
    with pytest.raises(AssertionError):
        simulate(Increment(3), bench="verif.tb_stream", name="increment", testcase="no_such_test")


class Counter(wiring.Component):
    """Counts to ``last`` and starts again; asserts that it stays below ``bound``."""

    enable: In(1)
    count: Out(4)

    def __init__(self, *, last: int, bound: int | None, init: int = 0):
        self.last, self.bound, self.init = last, bound, init
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        count = Signal(4, init=self.init)
        m.d.comb += self.count.eq(count)
        with m.If(self.enable):
            m.d.sync += count.eq(count + 1)
            with m.If(count == self.last):
                m.d.sync += count.eq(0)
        if self.bound is not None:
            m.d.comb += Assert(count < self.bound, "out of bounds")
        return m


@pytest.mark.formal
def test_prove_accepts_what_holds():
    prove(Counter(last=9, bound=10), name="counter")


@pytest.mark.formal
@pytest.mark.parametrize(
    "counter",
    [
        Counter(last=9, bound=9),  # reached after nine steps
        Counter(last=9, bound=10, init=12),  # wrong in the very first cycle
        Counter(last=9, bound=None),  # asserts nothing
    ],
    ids=["late", "initial", "vacuous"],
)
def test_prove_refuses_what_does_not(counter):
    with pytest.raises(AssertionError, match="counter_faulty is not proved"):
        prove(counter, name="counter_faulty")


class Store(wiring.Component):
    """A memory with one read port."""

    address: In(unsigned(14))
    data: Out(8)

    def __init__(self, init: list[int]):
        self.init = init
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=1 << 14, init=self.init)
        port = memory.read_port()
        m.d.comb += [port.addr.eq(self.address), self.data.eq(port.data)]
        return m


def test_verilog_of_zeroed_memory_is_short():
    assert len(to_verilog(Store([]), name="store")) < 2000
    assert "8'h2a" in to_verilog(Store([0, 42]), name="store")
