# amaranth: UnusedElaboratable=no

"""The drain: words by hand, volume under Verilator with the parameter store, control by proof."""

from dataclasses import asdict, replace

import pytest
from amaranth.hdl import Module
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
    count *= 2 if job.get("wide_out") else 1
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


def test_subtraction_rounds_before_it_subtracts():
    """In eighths: a is 0, and b is 1/2 or -1/2 of the common scale, which round away from zero."""
    halves = {
        "drain": DrainMode.SUBTRACT, "left_shift": 0,
        "a_multiplier": 1 << 30, "a_shift": 0, "b_multiplier": 1 << 30, "b_shift": -1,
        "groups_last": 0, "out_h_last": 0, "out_w_last": 3,
    }  # fmt: skip
    channel = {"bias": 0, "multiplier": 1 << 30, "shift": 1}
    pixels = [pixel(previous=0, latest=latest) for latest in (2, -2, 6, -6)]
    # SRDHM gives 1, -1, 3, -3, then the second rounding 1, -1, 2, -2.
    results = [words[0] for *_, words in drain(halves, pixels, channel)]
    assert results == [-1, 1, -2, 2]
    # Half of a, which SRDHM rounds up, less nothing: 1, 0, -1.
    pixels = [pixel(previous=previous) for previous in (1, -1, -3, 3)]
    results = [words[0] for *_, words in drain(halves, pixels, channel)]
    assert results == [1, 0, -1, 2]


@pytest.mark.parametrize(
    ("previous", "latest", "expected"),
    [(-255, -255, 65025 >> 9), (-256, 255, -128), (255, -1, 0), (7, 0, 0), (-256, -256, 127)],
)
def test_product(previous, latest, expected):
    """``total`` is not looked at; the results are 2**-9 of the products."""
    channel = {"bias": 0, "multiplier": 1 << 30, "shift": -8}
    words = drain(
        {"drain": DrainMode.MULTIPLY, **ONE_PIXEL},
        [pixel(total=99, previous=previous, latest=latest)],
        channel,
    )
    assert words == [(0, 0, [expected] * 4)]


BY_SIGN = {
    "a_multiplier": 1 << 30, "a_shift": 1, "b_multiplier": 1 << 30, "b_shift": -2, **ONE_PIXEL,
}  # fmt: skip
"""Once for values >= 0, an eighth for the others."""

ANYTHING = {"bias": 999, "multiplier": 12345678, "shift": 3}
"""Parameters that do not count."""


@pytest.mark.parametrize(
    ("total", "expected"), [(0, 0), (100, 100), (-100, -13), (-1, 0), (1 << 33 | 5, 5)]
)
def test_leaky(total, expected):
    words = drain({"drain": DrainMode.LEAKY, **BY_SIGN}, [pixel(total=total, latest=77)], ANYTHING)
    assert words == [(0, 0, [expected] * 4)]


@pytest.mark.parametrize(
    ("value", "product", "expected"), [(0, 999, 0), (100, 999, 100), (-100, 800, 100), (-1, -8, -1)]
)
def test_prelu(value, product, expected):
    words = drain(
        {"drain": DrainMode.PRELU, **BY_SIGN},
        [pixel(total=55, previous=value, latest=product)],
        ANYTHING,
    )
    assert words == [(0, 0, [expected] * 4)]


WIDE = {"wide_out": 1, "out_min": -32768, "out_max": 32767}


def test_int16_takes_two_words_a_pixel():
    """Two groups of two pixels: low bytes, then high bytes, behind them those of the next group."""
    job = {
        "drain": DrainMode.SCALE, "groups_last": 1, "out_h_last": 0, "out_w_last": 1,
        "out_base": 10, "out_row0": 2, "out_pixel_step": 4, **WIDE,
    }  # fmt: skip
    identity = {"bias": 0, "multiplier": 1 << 30, "shift": 1}
    words = drain(job, [pixel(total=x) for x in (0x102, -2, -40000, 0x7F80)], identity)
    assert words == [
        (2, 10, [2] * 4), (2, 11, [1] * 4), (2, 14, [-2] * 4), (2, 15, [-1] * 4),
        (2, 12, [0] * 4), (2, 13, [-128] * 4), (2, 16, [-128] * 4), (2, 17, [127] * 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("total", "bias", "shift", "expected"),
    [
        (-(1 << 39), 0, -24, -(1 << 14)),
        ((1 << 39) - 1, (1 << 31) - 1, -24, (1 << 14) + (1 << 6)),
        (3, 0, 0, 2),
        (-3, 0, 0, -1),
        (1 << 33, 0, 0, 0),  # of 2**32, the low 32 bits
    ],
)
def test_one_rounding_of_40_bits(total, bias, shift, expected):
    """Halves."""
    job = {"drain": DrainMode.SCALE, "single_rounding": 1, **ONE_PIXEL, **WIDE}
    channel = {"bias": bias, "multiplier": 1 << 14, "shift": shift}
    (low, high) = drain(job, [pixel(total=total)], channel)
    assert (low[2][0] & 0xFF) + 256 * high[2][0] == expected


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"drain": DrainMode.MULTIPLY, "wide_in": 1}, "two operands of int16"),
        ({"drain": DrainMode.LEAKY, "single_rounding": 1}, "a mode that has no single rounding"),
        ({"single_rounding": 1}, "a multiplier of more than fifteen bits"),
    ],
)
def test_impossible_jobs_are_caught(job, message):
    channel = {"bias": 0, "multiplier": 1 << 15, "shift": 0}
    with pytest.raises(AssertionError, match=message):
        drain({**job, **ONE_PIXEL}, [pixel(), pixel()], channel)


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
                "mode": In(3),
                "wide": In(1),
                "width_last": In(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.drain = drain = Drain(self.config)
        m.d.comb += [
            drain.job.drain.eq(self.mode),
            drain.job.wide_out.eq(self.wide),
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
