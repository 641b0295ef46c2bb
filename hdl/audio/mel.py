"""Mel filter bank: weighted sums of bins."""

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.config import AudioConfig
from hdl.audio.multipliers import MultiplierPort
from hdl.audio.spectrum import POWER_BITS
from hdl.audio.table import TablePort

__all__ = ["MEL_SUM_BITS", "MelBank", "mel_row"]

WEIGHT_BITS = 17
MEL_SUM_BITS = 75
"""48 bits times 17, summed over up to 513 bins."""

HALF_BITS = POWER_BITS // 2


def mel_row(config: AudioConfig) -> data.StructLayout:
    """Row of the weight table: one bin, see `models.audio.tables.MelTable`."""
    return data.StructLayout(
        {
            "band": range(config.bands + 1),
            "rising": unsigned(WEIGHT_BITS),
            "falling": unsigned(WEIGHT_BITS),
        }
    )


class MelBank(wiring.Component):
    """Sums of a frame's bins for each triangle, exact.

    Bit-exact with `models.audio.mel.mel_sums`.  Bins come in order, and a bin lies on at most two
    edges: the rising one of its ``band``, the falling one of the band before.  Two accumulators
    hold these; they move up when a bin's band is a new one.

    Parameters
    ----------
    config : AudioConfig
        Largest FFT and most bands.

    Members
    -------
    bands : In(range(config.bands + 1))
        Filters, at least 1.
    first, last : In(range(config.fft_points // 2 + 1))
        First and last bin with a weight; only these come.
    table : In(TablePort(config.fft_points // 2 + 1, mel_row(config)))
        Weights by bin.
    i : In(stream.Signature(unsigned(48)))
        Spectrum; one bin a cycle, but for one cycle for each sum given.
    o : Out(stream.Signature(unsigned(75)))
        ``bands`` sums a frame.
    multiply : Out(MultiplierPort())
        All four, when a bin is taken.

    ``bands``, ``first``, ``last`` and the table may change between frames, when ``idle``.

    idle : Out(1)
        No bin of a frame has been taken yet.
    """

    def __init__(self, config: AudioConfig):
        self.config = config
        bins = config.fft_points // 2 + 1
        super().__init__(
            {
                "bands": In(range(config.bands + 1)),
                "first": In(range(bins)),
                "last": In(range(bins)),
                "table": In(TablePort(bins, mel_row(config))),
                "i": In(stream.Signature(unsigned(POWER_BITS))),
                "o": Out(stream.Signature(unsigned(MEL_SUM_BITS))),
                "multiply": Out(MultiplierPort()),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the table, the accumulators and their control."""
        m = Module()
        bins = self.config.fft_points // 2 + 1
        m.submodules.weights = weights = Memory(shape=mel_row(self.config), depth=bins, init=[])
        write, read = weights.write_port(), weights.read_port()
        m.d.comb += [
            write.en.eq(self.table.enable),
            write.addr.eq(self.table.address),
            write.data.eq(self.table.data),
        ]

        position = Signal(range(bins))
        band = Signal(range(self.config.bands + 2))  # whose rising edge `high` sums
        low, high = Signal(MEL_SUM_BITS), Signal(MEL_SUM_BITS)
        row, port = read.data, self.multiply

        halves = self.i.payload[:HALF_BITS], self.i.payload[HALF_BITS:]
        with m.If(port.enable):
            for index, weight in enumerate((row.falling, row.rising)):
                for half_index, half in enumerate(halves):
                    m.d.comb += [
                        port.a[2 * index + half_index].eq(half),
                        port.b[2 * index + half_index].eq(Cat(weight, Const(0, 1)).as_signed()),
                    ]
        falling = port.product[0] + (port.product[1] << HALF_BITS)
        rising = port.product[2] + (port.product[3] << HALF_BITS)

        def move_up():
            """Give the band whose falling edge has ended; there is none before band 0."""
            m.d.comb += [self.o.valid.eq(band != 0), self.o.payload.eq(low)]
            with m.If(~self.o.valid | self.o.ready):
                m.d.sync += [low.eq(high), high.eq(0), band.eq(band + 1)]

        m.d.comb += read.addr.eq(position)
        with m.FSM() as fsm:
            with m.State("START"):
                m.d.sync += [low.eq(0), high.eq(0), band.eq(0), position.eq(self.first)]
                m.d.comb += read.addr.eq(self.first)
                with m.If(self.i.valid):
                    m.next = "BINS"
            with m.State("BINS"):
                with m.If(row.band != band):
                    move_up()
                with m.Else():
                    m.d.comb += [self.i.ready.eq(1), port.enable.eq(self.i.valid)]
                    with m.If(self.i.valid):
                        m.d.comb += read.addr.eq(position + 1)
                        m.d.sync += [
                            low.eq(low + falling),
                            high.eq(high + rising),
                            position.eq(position + 1),
                        ]
                        with m.If(position == self.last):
                            m.next = "REST"
            with m.State("REST"):
                move_up()
                with m.If((band == self.bands) & (~self.o.valid | self.o.ready)):
                    m.next = "START"
        m.d.comb += self.idle.eq(fsm.ongoing("START"))
        return m
