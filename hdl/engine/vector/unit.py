"""The vector unit's control: one job from its descriptor to its last write."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ACT_BANKS, MRAM_WORD_BYTES, ChipConfig
from hdl.engine.drain import BankWrite
from hdl.engine.fetch import BankRead
from hdl.engine.vector_descriptor import VectorDescriptor

__all__ = ["Vector"]


class Vector(wiring.Component):
    """Streams the elements of one job through a pipeline, one a cycle at best.

    Members
    -------
    start : In(1)
        Begin the job in `job`; only when not `busy`.
    job : In(VectorDescriptor)
        Must not change while `busy`.
    busy : Out(1)
        From the cycle after `start` until the last write is accepted.
    words : In(stream.Signature(unsigned(128)))
        What follows the descriptor: ``payload_words`` words, all of them taken before `busy` ends.
    banks : array of Out(BankRead)
    write : Out(BankWrite)
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "job": In(VectorDescriptor),
                "busy": Out(1),
                "words": In(stream.Signature(unsigned(8 * MRAM_WORD_BYTES))),
                "banks": Out(BankRead(config)).array(ACT_BANKS),
                "write": Out(BankWrite(config)),
            }
        )

    def elaborate(self, platform):
        """Build nothing yet."""
        return Module()
