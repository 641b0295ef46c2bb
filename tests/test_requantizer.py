# amaranth: UnusedElaboratable=no

"""The requantizer: corners in Amaranth's simulator, volume under Verilator; `hdl.arith` too."""

import pytest
from amaranth.hdl import Const, Module, Signal, signed
from amaranth.sim import Simulator

from hdl.arith import clamp, saturate
from hdl.engine.requantizer import Requantizer
from models.engine import reciprocal
from models.fixedpoint import multiply_and_round_once, multiply_by_quantized_multiplier, wrap
from verif.sim import simulate

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def simulate_lane(inputs):
    """Results of ``(value, bias, multiplier, shift, average, single)`` tuples, one a cycle."""
    lane = Requantizer()
    results = []

    async def testbench(ctx):
        ctx.set(lane.advance, 1)
        for index in range(len(inputs) + lane.LATENCY):
            ports = (
                lane.value, lane.bias, lane.multiplier, lane.shift, lane.average, lane.single,
            )  # fmt: skip
            for port, number in zip(ports, inputs[min(index, len(inputs) - 1)], strict=True):
                ctx.set(port, number)
            if index >= lane.LATENCY:
                results.append(ctx.get(lane.scaled))
            await ctx.tick()

    sim = Simulator(lane)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return results


def test_corner_values():
    inputs = [
        (value, bias, multiplier, shift, 0, 0)
        for value in (INT32_MIN, INT32_MIN + 1, -3, -2, -1, 0, 1, 2, 3, INT32_MAX)
        for bias in (INT32_MIN, -1, 0, 1, INT32_MAX)
        for multiplier in (0, 1, 1 << 30, INT32_MAX)
        for shift in (-31, -1, 0, 1, 31)
    ]
    expected = [
        multiply_by_quantized_multiplier(wrap(value + bias), multiplier, shift)
        for value, bias, multiplier, shift, _, _ in inputs
    ]
    assert simulate_lane(inputs) == expected


def test_corner_values_of_one_rounding():
    ends = (-(1 << 39), -(1 << 38) - 1, -(1 << 16), -3, -1, 0, 1, 2, 1 << 31, (1 << 39) - 1)
    inputs = [
        (value, bias, multiplier, shift, 0, 1)
        for value in ends
        for bias in (INT32_MIN, -1, 0, 1, INT32_MAX)
        for multiplier in (0, 1, 1 << 14, (1 << 15) - 1)
        for shift in (-31, -16, -1, 0, 1, 7)
    ]
    expected = [
        multiply_and_round_once(value + bias, multiplier, shift)
        for value, bias, multiplier, shift, *_ in inputs
    ]
    assert simulate_lane(inputs) == expected


def test_means_of_int16():
    counts = [1, 2, 3, 49, 255, 256, 16383]
    inputs, expected = [], []
    for count in counts:
        for mean in (-32768, -12345, -1, 0, 1, 32767):
            for remainder in (-(count // 2), 0, (count - 1) // 2):
                total = min(max(mean * count + remainder, -32768 * count), 32767 * count)
                inputs.append((total, count // 2, *reciprocal(count), 1, 0))
                magnitude = (abs(total) + count // 2) // count
                expected.append(magnitude if total > 0 else -magnitude)
    assert simulate_lane(inputs) == expected


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9, 25, 64, 125, 300])
def test_average_divides(count):
    totals = range(-128 * count, 127 * count + 1, max(1, count // 8))
    inputs = [(total, count // 2, *reciprocal(count), 1, 0) for total in totals]
    expected = [(abs(total) + count // 2) // count * (1 if total > 0 else -1) for total in totals]
    assert simulate_lane(inputs) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (lambda x: saturate(x, signed(4)), lambda x: min(max(x, -8), 7)),
        (lambda x: saturate(x, 4), lambda x: min(max(x, 0), 15)),
        (
            lambda x: clamp(x, Const(-3, signed(8)), Const(9, signed(8))),
            lambda x: min(max(x, -3), 9),
        ),
    ],
)
def test_limits(expression, expected):
    value, result = Signal(signed(6)), Signal(signed(8))
    m = Module()
    m.d.comb += result.eq(expression(value))

    async def testbench(ctx):
        for number in range(-32, 32):
            ctx.set(value, number)
            assert ctx.get(result) == expected(number)

    sim = Simulator(m)
    sim.add_testbench(testbench)
    sim.run()


@pytest.mark.sim
def test_requantizer_matches_model():
    simulate(Requantizer(), bench="verif.tb_requantizer", name="requantizer")
