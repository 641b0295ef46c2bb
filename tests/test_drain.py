# amaranth: UnusedElaboratable=no

"""The drain: words by hand, volume under Verilator with the parameter store, control by proof."""

from dataclasses import asdict, replace

import pytest
from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, flipped
from amaranth.sim import Simulator

from hdl.config import SMALL
from hdl.engine.accumulators import accumulated
from hdl.engine.descriptor import Descriptor
from hdl.engine.descriptor import Drain as DrainMode
from hdl.engine.drain import BankWrite, Drain
from hdl.engine.parameters import ParameterStore
from models.engine import reciprocal
from verif.formal import prove
from verif.sim import simulate

QUARTERS = replace(SMALL, name="QUARTERS", rows=8, lanes=8, requantizers=2)
"""Four slices a word."""

WHOLE = replace(SMALL, name="WHOLE", requantizers=4)
"""A word a cycle, as in FULL, whose sixteen requantizers take a minute to build."""


class ParameterizedDrain(wiring.Component):
    """A drain and its parameters, as they are wired in the engine."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "job": In(Descriptor),
                "busy": Out(1),
                "i": In(stream.Signature(accumulated(config.rows))),
                "parameters": In(stream.Signature(128)),
                "full": Out(1),
                "release": Out(1),
                "write": Out(BankWrite(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.drain = drain = Drain(self.config)
        m.submodules.store = store = ParameterStore(self.config)
        wiring.connect(m, flipped(self.i), drain.i)
        wiring.connect(m, flipped(self.parameters), store.i)
        wiring.connect(m, drain.write, flipped(self.write))
        m.d.comb += [
            drain.start.eq(self.start),
            drain.job.eq(self.job),
            self.busy.eq(drain.busy),
            store.slice.eq(drain.slice),
            store.release.eq(drain.release),
            drain.channels.eq(store.channels),
            drain.parameters_full.eq(store.full),
            self.full.eq(store.full),
            self.release.eq(drain.release),
        ]
        return m


ADDITION = {
    "drain": DrainMode.ADD,
    "left_shift": 20,
    "a_multiplier": 1 << 30, "a_shift": 0,
    "b_multiplier": 1 << 30, "b_shift": -1,
}  # fmt: skip
"""``a / 2 + b / 4``, 20 bits up."""


def drain(job, pixels, channel):
    """Words ``(bank, address, bytes)`` of a job whose channels are all alike, without stalls."""
    unit = Drain(SMALL)
    count = (job["groups_last"] + 1) * (job["out_h_last"] + 1) * (job["out_w_last"] + 1)
    words, releases = [], []

    async def testbench(ctx):
        assert not ctx.get(unit.busy)
        ctx.set(unit.job, {"out_min": -128, "out_max": 127, **job})
        ctx.set(unit.channels, [channel] * SMALL.requantizers)
        ctx.set(unit.parameters_full, 1)
        ctx.set(unit.write.word.ready, 1)
        ctx.set(unit.start, 1)
        await ctx.tick()
        ctx.set(unit.start, 0)
        waiting = list(pixels)
        while len(words) < count:
            assert ctx.get(unit.busy)
            ctx.set(unit.i.valid, len(waiting) > 0)
            if waiting:
                ctx.set(unit.i.payload, waiting[0])
            word = unit.write.word
            if ctx.get(word.valid):
                octets = ctx.get(word.p.data).to_bytes(SMALL.rows, "little")
                activations = [octet - 256 if octet > 127 else octet for octet in octets]
                words.append((ctx.get(word.p.bank), ctx.get(word.p.address), activations))
            if ctx.get(unit.release):
                releases.append(len(pixels) - len(waiting))
            if ctx.get(unit.i.ready):
                waiting.pop(0)
            await ctx.tick()
        assert not ctx.get(unit.busy)

    sim = Simulator(unit)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert len(releases) == job["groups_last"] + 1
    return words


def pixel(*, total=0, latest=0, previous=0):
    return {"total": [total] * 4, "latest": [latest] * 4, "previous": [previous] * 4}


def test_words_go_to_rows_columns_and_groups():
    """Two groups of 2 x 2 pixels, every second row of a tensor that begins in bank 3."""
    job = {
        "drain": DrainMode.SCALE, "groups_last": 1, "out_h_last": 1, "out_w_last": 1,
        "out_base": 100, "out_row0": 3, "out_row_words": 20, "out_pixel_step": 7,
        "out_row_step": 2,
    }  # fmt: skip
    identity = {"bias": 0, "multiplier": 1 << 30, "shift": 1}
    words = drain(job, [pixel(total=i) for i in range(8)], identity)
    # Row 3 is slot 0 of bank 3, row 5 slot 1 of bank 1.
    places = [(3, 100), (3, 107), (1, 120), (1, 127), (3, 101), (3, 108), (1, 121), (1, 128)]
    assert words == [(*place, [i] * 4) for i, place in enumerate(places)]


ONE_PIXEL = {"groups_last": 0, "out_h_last": 0, "out_w_last": 0}


@pytest.mark.parametrize(
    ("total", "channel", "output", "expected"),
    [
        ((1 << 31) - 1, {"bias": 0, "multiplier": (1 << 31) - 1, "shift": 0}, {}, 127),
        (-(1 << 31), {"bias": 0, "multiplier": (1 << 31) - 1, "shift": 0}, {}, -128),
        (-(1 << 31), {"bias": -1, "multiplier": (1 << 31) - 1, "shift": 0}, {}, 127),  # wraps
        (12345, {"bias": 0, "multiplier": 0, "shift": 0}, {"out_zero_point": -7}, -7),
        (100, {"bias": 0, "multiplier": 1 << 30, "shift": 1}, {"out_max": 99}, 99),
        (-5, {"bias": 0, "multiplier": 1 << 30, "shift": 1}, {"out_min": -4}, -4),
        (3, {"bias": 0, "multiplier": 1 << 30, "shift": 0}, {"out_zero_point": -128}, -126),
        # The zero point wraps in 32 bits, as in TFLM.
        ((1 << 31) - 1, {"bias": 0, "multiplier": (1 << 31) - 1, "shift": 0},
         {"out_zero_point": 3}, -128),
    ],
)  # fmt: skip
def test_scaling_corners(total, channel, output, expected):
    job = {"drain": DrainMode.SCALE, **ONE_PIXEL, **output}
    assert drain(job, [pixel(total=total)], channel) == [(0, 0, [expected] * 4)]


@pytest.mark.parametrize(
    ("total", "expected"), [(7, 2), (8, 3), (-7, -2), (-8, -3), (-384, -128), (0, 0)]
)
def test_average_of_three(total, expected):
    multiplier, shift = reciprocal(3)
    job = {"drain": DrainMode.AVERAGE, **ONE_PIXEL}
    channel = {"bias": 1, "multiplier": multiplier, "shift": shift}
    assert drain(job, [pixel(total=total)], channel) == [(0, 0, [expected] * 4)]


@pytest.mark.parametrize(
    ("previous", "latest", "expected"), [(8, 4, 5), (-255, 255, -64), (255, 255, 127), (0, 0, 0)]
)
def test_addition(previous, latest, expected):
    """The first pass is operand a; ``total`` is not looked at."""
    channel = {"bias": 0, "multiplier": 1 << 30, "shift": -19}
    words = drain(
        {**ADDITION, **ONE_PIXEL}, [pixel(total=99, previous=previous, latest=latest)], channel
    )
    assert words == [(0, 0, [expected] * 4)]


def test_start_while_busy_is_caught():
    unit = Drain(SMALL)

    async def testbench(ctx):
        ctx.set(unit.start, 1)
        for _ in range(3):
            await ctx.tick()

    sim = Simulator(unit)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    with pytest.raises(AssertionError, match="job started while another one is drained"):
        sim.run()


@pytest.mark.sim
@pytest.mark.parametrize("config", [SMALL, WHOLE, QUARTERS], ids=lambda config: config.name)
def test_drain_matches_model(config):
    simulate(
        ParameterizedDrain(config),
        bench="verif.tb_drain",
        name=f"drain_{config.name.lower()}",
        parameters={"config": asdict(config), "latency": Drain.LATENCY},
    )


class FreeDrain(wiring.Component):
    """A drain within a job of any kind, among neighbours that do as they please."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "valid": In(1),
                "parameters_full": In(1),
                "ready": In(1),
                "adding": In(1),
                "width_last": In(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.drain = drain = Drain(self.config)
        m.d.comb += [
            drain.job.drain.eq(Mux(self.adding, DrainMode.ADD, DrainMode.SCALE)),
            drain.job.out_w_last.eq(self.width_last),
            drain.i.valid.eq(self.valid),
            drain.parameters_full.eq(self.parameters_full),
            drain.write.word.ready.eq(self.ready),
        ]
        return m


@pytest.mark.formal
@pytest.mark.parametrize("config", [SMALL, WHOLE, QUARTERS], ids=lambda config: config.name)
def test_turns_keep_their_order(config):
    prove(FreeDrain(config), name=f"free_drain_{config.name.lower()}")
