"""Per-channel bias, multiplier and shift of two groups: one in use, one being loaded."""

from amaranth.hdl import Array, Assert, Module, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import parameter_words

__all__ = ["ChannelParameters", "ParameterStore"]


class ChannelParameters(data.Struct):
    """How an accumulator of one output channel becomes an activation."""

    bias: signed(32)
    multiplier: unsigned(31)
    """Q0.31; of jobs with a single rounding, Q0.15."""
    shift: signed(6)


class ParameterStore(wiring.Component):
    """Two banks of parameters of ``rows`` channels, filled and released alternately.

    Words of a group: ``rows / 4`` with int32 biases, as many with int32 multipliers, one with int8
    shifts.

    Members
    -------
    i : In(stream.Signature(unsigned(128)))
        Parameter words, group after group.  Ready while the next bank is free.
    full : Out(1)
        The bank in use is complete.
    release : In(1)
        The bank in use is done with; the other one comes into use.
    slice : In
        Which ``requantizers`` channels of the group `channels` shows.
    channels : Out
        Parameters of the channels that are rescaled in this cycle.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        self.slices = config.rows // config.requantizers
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(8 * MRAM_WORD_BYTES))),
                "full": Out(1),
                "release": In(1),
                "slice": In(range(max(self.slices, 2))),
                "channels": Out(data.ArrayLayout(ChannelParameters, config.requantizers)),
            }
        )

    def elaborate(self, platform):
        """Build the two banks."""
        m = Module()
        rows, lanes = self.config.rows, self.config.requantizers
        count = parameter_words(rows)
        banks = [
            [Signal(ChannelParameters, name=f"bank{b}_{r}") for r in range(rows)] for b in range(2)
        ]
        complete = Signal(2)
        loading, using = Signal(), Signal()
        index = Signal(range(count))

        m.d.comb += [
            self.i.ready.eq(~complete.bit_select(loading, 1)),
            self.full.eq(complete.bit_select(using, 1)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += index.eq(index + 1)
            with m.If(index == count - 1):
                m.d.sync += [
                    index.eq(0),
                    loading.eq(~loading),
                    complete.bit_select(loading, 1).eq(1),
                ]
            for b in range(2):
                with m.If(loading == b):
                    for r in range(rows):
                        channel = banks[b][r]
                        word, at = divmod(r, 4)
                        field = self.i.payload[32 * at : 32 * at + 32]
                        with m.If(index == word):
                            m.d.sync += channel.bias.eq(field)
                        with m.If(index == rows // 4 + word):
                            m.d.sync += channel.multiplier.eq(field)
                        with m.If(index == count - 1):
                            m.d.sync += channel.shift.eq(self.i.payload[8 * r : 8 * r + 8])
        with m.If(self.release):
            m.d.sync += [using.eq(~using), complete.bit_select(using, 1).eq(0)]

        for lane in range(lanes):
            choices = Array(
                banks[b][s * lanes + lane].as_value() for b in range(2) for s in range(self.slices)
            )
            m.d.comb += self.channels[lane].eq(choices[using * self.slices + self.slice])
        m.d.sync += [
            Assert(~self.release | self.full, "released parameters that are not complete"),
            # Both banks alike: the one in use is also the next to be loaded.
            Assert((loading == using) == (complete[0] == complete[1]), "banks out of turn"),
            Assert(self.full | ~complete.any(), "a complete bank behind an empty one"),
            Assert(index < count, "a word that no group has"),
        ]
        return m
