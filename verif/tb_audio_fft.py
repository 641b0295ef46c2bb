"""cocotb bench: `hdl.audio.fft.Fft` against `models.audio.fft`."""

from collections import Counter
from itertools import product

import cocotb
import numpy as np
from cocotb.simtime import get_sim_time
from cocotb.triggers import FallingEdge, RisingEdge

from hdl.audio.fft import Fft, FftArithmetic
from models.audio.fft_arithmetic import DATA_BITS
from verif.bench import CLOCK_NS, coin, parameters, start
from verif.fft_transforms import KINDS, Transform, random_transform
from verif.stream import StreamSink, StreamSource

SIZE_BITS = 4
MASK = (1 << DATA_BITS) - 1


def signed(bits: int) -> int:
    """A field of `DATA_BITS` as a signed integer."""
    bits &= MASK
    return bits - (1 << DATA_BITS) if bits >> (DATA_BITS - 1) else bits


async def run(dut, transform: Transform, source: StreamSource, sink: StreamSink) -> int:
    """Run a transform, compare every word and the exponent; return the cycles between."""
    fields = transform.job
    job = fields["size"] | fields["arithmetic"].value << SIZE_BITS
    dut.job.value = job | fields["inverse"] << (SIZE_BITS + 1)
    words = [(re & MASK) | (im & MASK) << DATA_BITS for re, im in transform.words]
    await source.send(words)
    dut.job.value = int(np.random.default_rng(len(words)).integers(0, 1 << 6))  # sampled, by now
    begin = get_sim_time("ns")
    await FallingEdge(dut.clk)
    assert dut.busy.value == 1
    await RisingEdge(dut.o__valid)
    cycles = round((get_sim_time("ns") - begin) / CLOCK_NS)
    received = await sink.receive(len(transform.results), signed=False)
    assert dut.exponent.value.to_signed() == transform.exponent
    results = [(signed(word), signed(word >> DATA_BITS)) for word in received]
    lasts = [word >> (2 * DATA_BITS) for word in received]
    assert results == transform.results, transform
    assert lasts == [0] * (len(lasts) - 1) + [1]
    await RisingEdge(dut.clk)
    assert dut.o__valid.value == 0, "a word too many"
    assert dut.busy.value == 0
    return cycles


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.4])
async def matches_model(dut, stall: float) -> None:
    """Every size, arithmetic and direction, and stimulus of every kind, in random order."""
    rng = np.random.default_rng([cocotb.RANDOM_SEED, stall > 0])
    sizes = parameters()["sizes"]
    if stall:
        sizes = sizes[:-1]  # stalls do not know sizes, and the largest takes half of the time
    source = StreamSource(dut, "i", coin(rng, stall))
    sink = StreamSink(dut, "o", coin(rng, stall))
    dut.job.value = 0
    await start(dut)
    every = list(product(sizes, FftArithmetic, (False, True), KINDS))
    exponents = Counter()
    for index in rng.permutation(len(every)):
        points, arithmetic, inverse, kind = every[index]
        transform = random_transform(rng, kind, points, arithmetic, inverse=inverse)
        cycles = await run(dut, transform, source, sink)
        assert cycles == Fft.cycles(points), (points, cycles)
        exponents[transform.exponent] += 1
    dut._log.info("seed %d: exponents %s", cocotb.RANDOM_SEED, sorted(exponents))
    assert len(exponents) >= DATA_BITS // 2, "words of too few magnitudes"
