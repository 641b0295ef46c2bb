"""From features to the words of a network's input in the activation memory."""

from amaranth.hdl import Assert, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.features import FEATURE

__all__ = ["BANKS", "FeatureWindow", "WindowConstants", "window_word"]

BANKS = 4
"""Of the activation memory: row y of a tensor lies in bank ``(y + row0) % 4``."""

FEATURE_BITS = 8


class WindowConstants(data.StructLayout):
    """Which frames a network takes at once, and where; see `mmsp.compiler.placement.Placement`.

    Fields
    ------
    values : range
        Features of a window, a multiple of those of a frame.
    frames, stride : range
        Frames of a window, and from one window to the next; at least 1.
    base : unsigned(address_bits)
        Word address of the input.
    row0 : range(4)
        Bank of its first row.
    row_values, row_words : range
        Features of a row of the input, of which ``values`` is a multiple, and words from one row to
        the next: at least as many as they fill.
    """

    def __init__(self, capacity: int, address_bits: int):
        count = range(capacity + 1)
        super().__init__(
            {
                "values": count,
                "frames": count,
                "stride": count,
                "base": unsigned(address_bits),
                "row0": range(BANKS),
                "row_values": count,
                "row_words": count,
            }
        )


def window_word(word_bytes: int, address_bits: int) -> data.StructLayout:
    """A word for the activation memory, and whether it is its window's last."""
    return data.StructLayout(
        {
            "bank": range(BANKS),
            "address": unsigned(address_bits),
            "data": data.ArrayLayout(unsigned(FEATURE_BITS), word_bytes),
            "last": 1,
        }
    )


class FeatureWindow(wiring.Component):
    """Keeps the last frames; gives a window of them, oldest first, as words with addresses.

    Bit-exact with `models.audio.feature_window`.  The bytes of a row follow one another, and zeros
    fill its last word: so lie tensors of one channel (packed), of one pixel a row, and flat ones.
    A window takes a cycle for each feature and each word; meanwhile features have to wait.

    Parameters
    ----------
    capacity : int
        Features of the largest window, at least 2.
    word_bytes : int
        Bytes of an activation word, at least 1.
    address_bits : int
        Of a word address, at least 1.

    Members
    -------
    constants : In(WindowConstants(capacity, address_bits))
        May change while ``restart``.
    restart : In(1)
        Forget all frames.  While ``idle``, and before the first frame.
    i : In(stream.Signature(FEATURE))
        Features.
    o : Out(stream.Signature(window_word(word_bytes, address_bits)))
        Words of a window, row by row; each is a write of a whole word.
    ready : Out(1)
        A window's last word leaves in this cycle: the network can run.
    idle : Out(1)
        No window is on its way.
    """

    def __init__(self, capacity: int, word_bytes: int, address_bits: int):
        for name, value, least in (
            ("capacity", capacity, 2),
            ("word_bytes", word_bytes, 1),
            ("address_bits", address_bits, 1),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value!r}")
        self.capacity, self.word_bytes = capacity, word_bytes
        super().__init__(
            {
                "constants": In(WindowConstants(capacity, address_bits)),
                "restart": In(1),
                "i": In(stream.Signature(FEATURE)),
                "o": Out(stream.Signature(window_word(word_bytes, address_bits))),
                "ready": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the ring, which is as long as the window, and the walk over a window."""
        m = Module()
        constants, word = self.constants, self.o.p
        m.submodules.ring = ring = Memory(
            shape=unsigned(FEATURE_BITS), depth=self.capacity, init=[]
        )
        write, read = ring.write_port(), ring.read_port()

        # The oldest feature lies where the next one will be.
        place = Signal(range(self.capacity))
        due = Signal(range(self.capacity + 1))  # frames until the next window
        m.d.comb += [write.addr.eq(place), write.data.eq(self.i.p.value)]
        following = Mux(place == constants.values - 1, 0, place + 1)

        left, row_left = Signal(range(self.capacity + 1)), Signal(range(self.capacity + 1))
        byte = Signal(range(self.word_bytes))
        row_address = Signal.like(word.address)
        m.d.comb += [
            read.addr.eq(place),
            word.last.eq(left == 0),
            self.ready.eq(self.o.valid & self.o.ready & word.last),
        ]

        with m.FSM() as fsm:
            with m.State("FRAMES"):
                m.d.comb += [self.i.ready.eq(~self.restart), write.en.eq(self.i.valid)]
                m.d.sync += [
                    left.eq(constants.values),
                    row_left.eq(constants.row_values),
                    byte.eq(0),
                    word.bank.eq(constants.row0),
                    word.address.eq(constants.base),
                    row_address.eq(constants.base),
                    word.data.eq(0),
                ]
                with m.If(self.i.valid & self.i.ready):
                    m.d.sync += place.eq(following)
                    with m.If(self.i.p.last):
                        m.d.sync += due.eq(due - 1)
                        with m.If(due == 1):
                            m.d.sync += due.eq(constants.stride)
                            m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.next = "BYTES"
            with m.State("BYTES"):
                # `read.data` is the byte at `place`.
                m.d.comb += read.addr.eq(following)
                m.d.sync += [
                    word.data[byte].eq(read.data),
                    place.eq(following),
                    left.eq(left - 1),
                    row_left.eq(row_left - 1),
                    byte.eq(byte + 1),
                ]
                with m.If((row_left == 1) | (byte == self.word_bytes - 1)):
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [byte.eq(0), word.data.eq(0), word.address.eq(word.address + 1)]
                    m.next = "BYTES"
                    with m.If(row_left == 0):
                        m.d.sync += [
                            row_left.eq(constants.row_values),
                            word.bank.eq(word.bank + 1),
                            word.address.eq(row_address),
                        ]
                        with m.If(word.bank == BANKS - 1):
                            beyond = row_address + constants.row_words
                            m.d.sync += [word.address.eq(beyond), row_address.eq(beyond)]
                    with m.If(word.last):
                        m.next = "FRAMES"
        m.d.comb += self.idle.eq(fsm.ongoing("FRAMES"))
        with m.If(self.restart):
            m.d.sync += [place.eq(0), due.eq(constants.frames)]

        waiting, offered = Signal(), Signal.like(self.o.payload)
        m.d.sync += [
            waiting.eq(self.o.valid & ~self.o.ready),
            offered.eq(self.o.payload),
            Assert(~waiting | self.o.valid, "a word on offer has gone"),
            Assert(~waiting | (offered == self.o.payload), "a word on offer changed"),
            Assert(~(self.i.ready & self.o.valid), "features overwrite a window on its way"),
        ]
        return m
