"""From a tensor's pixels to words of the activation memory."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hdl.audio.feature_window import BANKS, window_word
from hdl.image.colour import COLOURS
from hdl.image.delay import delays
from hdl.image.pixels import BYTE_BITS, pixel_stream
from hdl.image.quantiser import tensor_pixel
from hdl.image.stage import select_frames

__all__ = ["TensorPlace", "TensorWords"]

MIN_WORD_BYTES = 4


class TensorPlace(data.StructLayout):
    """Where a network reads its input; see `mmsp.compiler.placement.Placement`.

    Fields
    ------
    base : unsigned(address_bits)
        Word address.
    row0 : range(4)
        Bank of the first row.
    row_words : unsigned(address_bits)
        Words from one row to the next in its bank: at least as many as it fills.
    packed : 1
        The bytes of a row follow one another; otherwise a pixel has a word of its own.
    flat : 1
        Those of all rows do (then ``packed``, too): the input is a vector.
    grey : 1
        One channel, else three.
    """

    def __init__(self, address_bits: int):
        super().__init__(
            {
                "base": unsigned(address_bits),
                "row0": range(BANKS),
                "row_words": unsigned(address_bits),
                "packed": 1,
                "flat": 1,
                "grey": 1,
            }
        )


class TensorWords(wiring.Component):
    """Give the words of each frame, with their places, in the order of the rows.

    Bit-exact with ``Placement.addresses`` and ``Placement.pack``.  Zeros fill a row's last word
    (packed), or each word (not packed).  Pixels cannot be stopped, words can: as many wait as the
    FIFO holds, and if one more comes, its frame is given up.

    Parameters
    ----------
    word_bytes : int
        Bytes of an activation word, at least 4: no pixel fills more than one.
    address_bits : int
        Of a word address, at least 1.
    depth : int
        Words that wait, at least 2.

    Members
    -------
    place : In(TensorPlace(address_bits))
        May change while no frame is in progress.
    enable : In(1)
        Take frames that begin while it is high.
    i : In(stream of tensor_pixel(), always ready)
    abort : In(1)
        Forget the frame in progress, and a pixel in this clock.  Words that wait stay.
    o : Out(stream.Signature(window_word(word_bytes, address_bits)))
        Words; each is a write of a whole word.  `LATENCY` clocks behind the pixel that completes
        it if none waits.  A frame that is not complete never gives its ``last``.
    ready : Out(1)
        A tensor's last word leaves in this clock: the network can run.
    overrun : Out(1)
        A frame is given up in this clock, because too many words wait.
    idle : Out(1)
        No word waits.
    """

    LATENCY = 4

    def __init__(self, word_bytes: int, address_bits: int, depth: int = 8):
        for name, value, least in (
            ("word_bytes", word_bytes, MIN_WORD_BYTES),
            ("address_bits", address_bits, 1),
            ("depth", depth, 2),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value!r}")
        self.word_bytes, self.depth = word_bytes, depth
        self.word = window_word(word_bytes, address_bits)
        # State: bytes of the word in progress, and whether the row before has one more word.
        self.fill = Signal(range(word_bytes))
        self.spilt = Signal()
        super().__init__(
            {
                "place": In(TensorPlace(address_bits)),
                "enable": In(1),
                "i": In(pixel_stream(tensor_pixel())),
                "abort": In(1),
                "o": Out(stream.Signature(self.word)),
                "ready": Out(1),
                "overrun": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the stages; a number in a name counts clocks from the input."""
        m = Module()
        (valid_1,) = delays(m, self.select(m), 1)
        (pixel_1,), (abort_1,) = delays(m, self.i.p, 1), delays(m, self.abort, 1)
        data_2, valid_2, ends_row_2, ends_2 = self.gather(m, pixel_1, valid_1, abort_1)
        (abort_2,) = delays(m, abort_1, 1)

        m.submodules.fifo = fifo = SyncFIFOBuffered(width=self.word.size, depth=self.depth)
        word, given_up = Signal(self.word), Signal()
        self.locate(m, word, valid_2, ends_row_2, ends_2 | abort_2)
        m.d.comb += [
            word.data.eq(data_2),
            word.last.eq(ends_2),
            fifo.w_data.eq(word),
            fifo.w_en.eq(valid_2 & ~given_up),
            self.overrun.eq(fifo.w_en & ~fifo.w_rdy),
            self.o.payload.eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
            self.ready.eq(self.o.valid & self.o.ready & self.o.p.last),
            self.idle.eq(fifo.level == 0),
        ]
        m.d.sync += given_up.eq((given_up | self.overrun) & ~(ends_2 | abort_2))

        waiting, offered = Signal(), Signal.like(self.o.payload)
        m.d.sync += [
            waiting.eq(self.o.valid & ~self.o.ready),
            offered.eq(self.o.payload),
            Assert(~waiting | self.o.valid, "a word on offer has gone"),
            Assert(~waiting | (offered == self.o.payload), "a word on offer changed"),
        ]
        return m

    def select(self, m: Module):
        """Whether a pixel comes, of a frame that began while enabled."""
        return select_frames(m, self.i, self.abort, self.enable)

    def gather(self, m: Module, pixel, valid, abort):
        """Clock 1 to 2: a word's bytes, and whether it ends its row, and its frame.

        A row's last pixel may fill a word and begin another.  That one is given a clock later,
        when no other can be complete: the next row has then had one pixel at most, and if it was
        its only one, no row has two words.
        """
        channels = len(COLOURS)
        kept = Signal(BYTE_BITS * self.word_bytes)
        fill, spilt = self.fill, self.spilt
        total = Signal(range(self.word_bytes + channels))
        values, joined = Signal(BYTE_BITS * channels), Signal(len(kept) + BYTE_BITS * channels)
        full, spills, row_end = Signal(), Signal(), Signal()
        beyond = joined[len(kept) :]
        m.d.comb += [
            row_end.eq(pixel.last_column & (~self.place.flat | pixel.last_row)),
            values.eq(
                Mux(self.place.grey, pixel.red.as_unsigned(), Cat(pixel[c] for c in COLOURS))
            ),
            total.eq(fill + Mux(self.place.grey, 1, channels)),
            joined.eq(kept | (values << (fill * BYTE_BITS))),
            full.eq((total >= self.word_bytes) | ~self.place.packed),
            spills.eq(valid & row_end & (total > self.word_bytes)),
        ]
        with m.If(valid):
            m.d.sync += [kept.eq(joined), fill.eq(total)]
            with m.If(full):
                m.d.sync += [kept.eq(beyond), fill.eq(total - self.word_bytes)]
            with m.If(row_end | ~self.place.packed):
                m.d.sync += [kept.eq(0), fill.eq(0)]
        with m.If(abort):
            m.d.sync += [kept.eq(0), fill.eq(0)]

        spilt_ends, gives = Signal(), Signal()
        word, given = Signal(len(kept)), Signal()
        ends_row, ends = Signal(), Signal()
        rest = Signal(len(beyond))
        m.d.comb += gives.eq(valid & (full | row_end))
        m.d.sync += [
            spilt.eq(spills),
            spilt_ends.eq(spills & pixel.last_row),
            rest.eq(beyond),
            given.eq(gives | spilt),
            word.eq(Mux(spilt, rest, joined)),
            ends_row.eq(spilt | (gives & row_end & ~spills)),
            ends.eq(spilt_ends | (gives & row_end & ~spills & pixel.last_row)),
            Assert(~(spilt & gives), "two words in a clock"),
        ]
        return word, given, ends_row, ends

    def locate(self, m: Module, word, valid, ends_row, restart) -> None:
        """Clock 2: bank and address of each word; ``restart`` goes to the first one's."""
        begun, bank = Signal(), Signal(range(BANKS))
        address, row_address = Signal.like(word.address), Signal.like(word.address)
        row_now, beyond = Signal.like(row_address), Signal.like(row_address)
        m.d.comb += [
            word.bank.eq(Mux(begun, bank, self.place.row0)),
            word.address.eq(Mux(begun, address, self.place.base)),
            row_now.eq(Mux(begun, row_address, self.place.base)),
            beyond.eq(row_now + Mux(word.bank == BANKS - 1, self.place.row_words, 0)),
        ]
        with m.If(valid):
            m.d.sync += [
                begun.eq(1),
                bank.eq(word.bank + ends_row),
                address.eq(Mux(ends_row, beyond, word.address + 1)),
                row_address.eq(Mux(ends_row, beyond, row_now)),
            ]
        with m.If(restart):
            m.d.sync += begun.eq(0)
