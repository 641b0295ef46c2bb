"""The bits of the MRAM: storage without power, latency or initial contents of its own."""

from amaranth.hdl import ClockSignal, Instance, Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hdl.config import MRAM_WORD_BYTES

__all__ = ["MRAM_WORD_BITS", "MramArray"]

MRAM_WORD_BITS = 8 * MRAM_WORD_BYTES

MAX_AMARANTH_WORDS = 1 << 13
"""Amaranth writes out the initial value of every word: for the 131072 words of 2 MB that takes two
minutes and makes 7.6 MB of Verilog.  Larger arrays are the module of ``mram_array.v`` instead."""


class MramArray(wiring.Component):
    """One write port and one read port, both synchronous, of ``words`` words of 128 bits.

    Up to `MAX_AMARANTH_WORDS` words it is an ordinary memory and runs anywhere; above, an instance
    of ``mram_array.v`` in this directory, for Verilator (``-y hdl/mram``) only.

    Parameters
    ----------
    words : int
        Depth.

    Members
    -------
    write_enable, write_address, write_data
        Write port.
    read_enable, read_address
        Read port.
    read_data : Out(128)
        The word, in the cycle after ``read_enable`` and until the next one.
    """

    def __init__(self, words: int):
        self.words = words
        address = ceil_log2(words)
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(address),
                "write_data": In(MRAM_WORD_BITS),
                "read_enable": In(1),
                "read_address": In(address),
                "read_data": Out(MRAM_WORD_BITS),
            }
        )

    def elaborate(self, platform):
        """Build or instantiate the storage."""
        m = Module()
        if self.words > MAX_AMARANTH_WORDS:
            m.submodules.array = Instance(
                "mram_array",
                p_WORDS=self.words,
                p_ADDRESS_BITS=len(self.read_address),
                p_WORD_BITS=MRAM_WORD_BITS,
                i_clk=ClockSignal(),
                i_write_enable=self.write_enable,
                i_write_address=self.write_address,
                i_write_data=self.write_data,
                i_read_enable=self.read_enable,
                i_read_address=self.read_address,
                o_read_data=self.read_data,
            )
            return m

        m.submodules.array = array = Memory(
            shape=unsigned(MRAM_WORD_BITS), depth=self.words, init=[]
        )
        write_port, read_port = array.write_port(), array.read_port()
        m.d.comb += [
            write_port.en.eq(self.write_enable),
            write_port.addr.eq(self.write_address),
            write_port.data.eq(self.write_data),
            read_port.en.eq(self.read_enable),
            read_port.addr.eq(self.read_address),
            self.read_data.eq(read_port.data),
        ]
        return m
