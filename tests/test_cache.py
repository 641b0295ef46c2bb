# amaranth: UnusedElaboratable=no

"""The weight cache: its sizes, its benches, and the proof of its pointers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Assert, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, flipped
from amaranth.sim import Simulator

from hdl.config import ECP5, FULL, SMALL
from hdl.mram.cache import RingControl, WeightCache
from tests.read_stream import FACTORS, CachedStream, PacedStream
from verif.formal import prove
from verif.sim import simulate


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"cache_kib": 3}, "cache_kib must be a power of two, not 3"),
        ({"mram_kib": 48}, "mram_kib must be a power of two, not 48"),
        ({"cache_kib": 128}, r"cache_kib must be at most half of mram_kib \(128\), not 128"),
    ],
)
def test_rejects_sizes(sizes, message):
    with pytest.raises(ValueError, match=message):
        WeightCache(replace(SMALL, **sizes))


@pytest.mark.sim
@pytest.mark.parametrize(
    "config",
    [
        FULL,
        replace(ECP5, name="ECP5_16", mram_latency=16, mram_wakeup=1, mram_kib=256),
        SMALL,
        replace(SMALL, name="SMALL_2", mram_latency=2, mram_wakeup=2, mram_kib=16),
    ],
    ids=lambda config: config.name,
)
def test_cache_matches_model(config):
    simulate(
        CachedStream(config),
        bench="verif.tb_cache",
        name=f"cached_stream_{config.name.lower()}",
        parameters=bench_parameters(config),
    )


def bench_parameters(config):
    return {
        "latency": config.mram_latency,
        "wakeup": config.mram_wakeup,
        "capacity": config.cache_words,
        "bank_words": config.mram_bank_words,
        "factors": FACTORS,
    }


PACES = ((5, 50, 500), (1, 2, 4, 16))  # wake-up times; cycles that the consumer takes a word


@pytest.mark.sim
def test_bursts_of_the_full_cache():
    figures = Path(__file__).parents[1] / "build" / "sim" / "paced_stream" / "figures.json"
    figures.unlink(missing_ok=True)
    wakeups, periods = PACES
    simulate(
        PacedStream(FULL),
        bench="verif.tb_cache_pace",
        name="paced_stream",
        parameters=bench_parameters(FULL)
        | {
            "words": 8 * FULL.cache_words,
            "bound": 1.25,
            "wakeups": wakeups,
            "periods": periods,
            "figures": str(figures),
        },
    )
    page = (Path(__file__).parents[1] / "docs" / "mram.md").read_text()
    assert burst_table(json.loads(figures.read_text())) in page


def burst_table(rows):
    """The table of docs/mram.md."""
    lines = [
        "| wake-up | words a cycle | mark | words a burst | active cycles / words | stalls "
        "| stalls with mark 0 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        pace = "1" if row["period"] == 1 else f"1/{row['period']}"
        cells = (
            row["wakeup"], pace, row["mark"], round(row["words"] / row["bursts"]),
            f"{row['active'] / row['words']:.3f}", row["stalls"], row["unmarked_stalls"],
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def draw_cycles(cycles):
    """The diagram of docs/mram.md: rows of signals, columns of cycles."""
    config = replace(SMALL, mram_latency=3, mram_wakeup=4)
    dut = CachedStream(config)
    rows = {}
    addresses = {
        sum(((a + 1) * f % (1 << 32)) << 32 * k for k, f in enumerate(FACTORS)): a
        for a in range(128)
    }

    async def testbench(ctx):
        ctx.set(dut.wakeup, config.mram_wakeup)
        await ctx.tick()
        ctx.set(dut.seek.payload, 64)
        for cycle in range(cycles):
            ctx.set(dut.seek.valid, cycle == 1)
            ctx.set(dut.o.ready, cycle >= 12 and cycle not in (16, 20))
            ctx.set(dut.keep, cycle < 16)
            ctx.set(dut.rewind, cycle == 16)
            ctx.set(dut.stop, cycle == 18)
            for name, signal, shown in (
                ("seek", dut.seek.valid, None),
                ("wake", dut.mram.wake, None),
                ("ready", dut.mram.ready, None),
                ("enable", dut.mram.enable, None),
                ("address", dut.mram.address, dut.mram.enable),
                ("valid", dut.mram.valid, None),
                ("data", dut.mram.data, dut.mram.valid),
                ("o.valid", dut.o.valid, None),
                ("o.ready", dut.o.ready, None),
                ("o.payload", dut.o.payload, dut.o.valid),
                ("keep", dut.keep, None),
                ("rewind", dut.rewind, None),
                ("stop", dut.stop, None),
            ):
                value = ctx.get(signal)
                if shown is not None:  # a word stands for its address
                    value = addresses.get(value, value) if ctx.get(shown) else "."
                rows.setdefault(name, []).append(value)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    rows = {"cycle": range(cycles)} | rows
    return "\n".join(f"{name:10}" + "".join(f"{x:>4}" for x in row) for name, row in rows.items())


def test_diagram_in_documentation():
    page = (Path(__file__).parents[1] / "docs" / "mram.md").read_text()
    diagram = page.split("```text\n")[1].split("\n```")[0]
    assert diagram == draw_cycles(24)


class RingAndMram(wiring.Component):
    """`RingControl` with the MRAM's delay line; everything else may happen at any time."""

    def __init__(self, config):
        self.config = config
        inputs = {
            name: port
            for name, port in RingControl(config).signature.members.items()
            if port.flow == In and name not in ("mram_ready", "arrived")
        }
        super().__init__(inputs | {"awake": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.control = control = RingControl(self.config)
        returning = Signal(self.config.mram_latency)
        m.d.sync += returning.eq(Cat(control.enable, returning))
        wiring.connect(m, flipped(self.seek), control.seek)
        for name in self.signature.members.keys() - {"seek", "ready", "awake"}:
            m.d.comb += getattr(control, name).eq(getattr(self, name))
        m.d.comb += [
            control.ready.eq(self.ready & ~self.rewind),
            control.mram_ready.eq(self.awake & control.wake),
            control.arrived.eq(returning[-1]),
        ]
        m.d.sync += [
            Assert(control.in_flight == sum(returning), "the counter lost a read"),
            Assert(control.wake | ~returning.any(), "asleep with reads in flight"),
        ]
        return m


@pytest.mark.formal
@pytest.mark.parametrize("latency", [2, 3])
def test_ring_invariants(latency):
    config = replace(SMALL, mram_latency=latency, mram_kib=2)
    prove(RingAndMram(config), name=f"ring_{latency}")
