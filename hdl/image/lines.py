"""Line buffers: from a stream of pixels to a stream of 5 x 5 windows."""

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.image.delay import delays
from hdl.image.pixels import MAX_WIDTH, MIN_SIZE, PIXEL_BITS, pixel_stream, raw_pixel

__all__ = ["WINDOW", "Tail", "WindowBuffer", "window_layout"]

WINDOW = 5
RADIUS = WINDOW // 2
LINES = WINDOW - 1


def window_layout() -> data.StructLayout:
    """Lay out a window.

    Fields
    ------
    pixels : 5 x 5 x unsigned(12)
        Rows, then columns; the pixel itself is ``pixels[2][2]``.
    last_column, last_row : 1
        Of the pixel itself, see `hdl.image.pixels.raw_pixel`.
    """
    row = data.ArrayLayout(unsigned(PIXEL_BITS), WINDOW)
    return data.StructLayout(
        {"pixels": data.ArrayLayout(row, WINDOW), "last_column": 1, "last_row": 1}
    )


class Tail(enum.Enum, shape=2):
    """What is left to give of a frame whose last pixel has come: ``2 * width + 2`` windows."""

    NONE = 0
    ROW = 1
    """Those that a line below the last one would finish."""
    LAST_ROW = 2
    """The next line's."""
    CORNER = 3
    """The last two: right of the last column that is looked at."""


class WindowBuffer(wiring.Component):
    """Give the window around each pixel, mirrored at the frame's borders.

    Bit-exact with `models.image.bayer.neighbourhood`.  Four lines are kept, each in a memory of its
    own with one port to read and one to write; the lines take turns, so that a pixel is written
    once.  With pixel ``n`` of a frame comes the window of pixel ``n - (2 * width + 2)``.  The last
    ``2 * width + 2`` windows, the frame's tail, follow one a clock, whether pixels come or not: the
    first two lines of a next frame need no reading, and are written behind the tail, which is never
    in an earlier column than the pixels.  Only the very last window may have to wait for the next
    frame, if that has begun its third line: until the second pixel of it.

    Parameters
    ----------
    max_width : int
        Pixels of the longest line, at least 4.

    Members
    -------
    abort : In(1)
        Forget the frame in progress, but not the tail of the one before; the next pixel is the
        first of a frame.  A pixel in the same clock is forgotten, too.
    aborted : Out(1)
        The frame of the windows given last will not go on.  Only if there were any.
    i : In(stream of raw_pixel(), always ready)
        Lines of 4 to ``max_width`` pixels, at least four, all of a frame of one length.  A frame
        may have shorter lines than the one before only when that one's tail has been given.
    o : Out(stream of window_layout(), always ready)
        `LATENCY` clocks behind the pixel, or in the tail behind the clock of its turn.

    Attributes
    ----------
    column, row : Signal
        Where the next pixel belongs; ``row`` stops at 4, from where on nothing is mirrored above.
    tail, edge : Signal
        What is left to give of the frame before; that one's last column.
    """

    LATENCY = 2

    def __init__(self, max_width: int = MAX_WIDTH):
        if not max_width >= MIN_SIZE:
            raise ValueError(f"max_width must be at least {MIN_SIZE}, not {max_width!r}")
        self.max_width = max_width
        self.column = Signal(range(max_width))
        self.row = Signal(range(LINES + 1))
        self.tail = Signal(Tail)
        self.edge = Signal(range(max_width))
        super().__init__(
            {
                "abort": In(1),
                "aborted": Out(1),
                "i": In(pixel_stream(raw_pixel())),
                "o": Out(pixel_stream(window_layout())),
            }
        )

    def elaborate(self, platform):
        """Build the counters, the memories and the window."""
        m = Module()
        pixel = self.i.p
        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & ~self.abort)
        ends_line = taken & pixel.last_column
        ends_frame = ends_line & pixel.last_row

        column, row = self.column, self.row
        slot = Signal(range(LINES))  # memory of the line that comes in
        with m.If(taken):
            m.d.sync += column.eq(column + 1)
        with m.If(ends_line):
            m.d.sync += [column.eq(0), slot.eq(slot + 1), row.eq(Mux(row == LINES, LINES, row + 1))]
        with m.If(ends_frame | self.abort):
            m.d.sync += [column.eq(0), row.eq(0)]
        by_pixel = Signal()
        m.d.comb += by_pixel.eq(taken & (row >= RADIUS))

        # The tail of the frame before, as if two more lines and two more pixels came.
        tail, edge = self.tail, self.edge
        tail_column = Signal.like(column)
        tail_slot = Signal.like(slot)
        reads_tail = Signal()
        gives_tail = Signal()
        waits = (tail == Tail.CORNER) & (row == RADIUS) & (column != 0) & ~by_pixel
        m.d.comb += [
            reads_tail.eq((tail == Tail.ROW) | (tail == Tail.LAST_ROW)),
            gives_tail.eq((tail != Tail.NONE) & ~waits),
        ]
        with m.If(gives_tail):
            m.d.sync += tail_column.eq(tail_column + 1)
        with m.If(reads_tail & (tail_column == edge)):
            m.d.sync += [tail_column.eq(0), tail_slot.eq(tail_slot + 1)]
            m.d.sync += tail.eq(Mux(tail == Tail.ROW, Tail.LAST_ROW, Tail.CORNER))
        with m.If((tail == Tail.CORNER) & gives_tail & (tail_column == RADIUS - 1)):
            m.d.sync += tail.eq(Tail.NONE)
        with m.If(ends_frame):
            m.d.sync += tail.eq(Tail.ROW)
            m.d.sync += [tail_column.eq(0), tail_slot.eq(slot + 1), edge.eq(column)]

        # A window is given when the column two to the right of its middle enters, or would.
        gives = Signal()
        place = Signal.like(column)
        began = (row > RADIUS) | ((row == RADIUS) & (column >= RADIUS))
        m.d.comb += [
            gives.eq(gives_tail | (by_pixel & began)),
            place.eq(Mux(gives_tail, tail_column, column)),
        ]
        gave = (row > RADIUS) | ((row == RADIUS) & (column > RADIUS))
        last_row = (tail == Tail.CORNER) | ((tail == Tail.LAST_ROW) & (tail_column >= RADIUS))
        m.d.comb += [
            self.o.valid.eq(delays(m, gives, self.LATENCY)[-1]),
            self.o.p.last_column.eq(delays(m, place == 1, self.LATENCY)[-1]),
            self.o.p.last_row.eq(delays(m, last_row, self.LATENCY)[-1]),
            self.aborted.eq(delays(m, self.abort & gave, self.LATENCY)[-1]),
        ]

        # First clock: the lines are read.
        step = by_pixel | gives_tail
        [entering] = delays(m, pixel.value, 1)
        [oldest] = delays(m, Mux(reads_tail, tail_slot, slot), 1)
        [written] = delays(m, column, 1)
        read_column = Mux(reads_tail, tail_column, column)
        lines = Array(
            self.line(m, index, read_column, step, written, entering, taken & (slot == index))
            for index in range(LINES)
        )
        kept = [lines[(oldest + line)[: len(slot)]] for line in range(LINES)]

        # Second clock: a column enters, mirrored above or below, the oldest line first.
        [first], [second], [last_but_one], [last] = (
            delays(m, condition, 1)
            for condition in (
                ~reads_tail & (row == RADIUS),
                ~reads_tail & (row == RADIUS + 1),
                tail == Tail.ROW,
                tail == Tail.LAST_ROW,
            )
        )
        column_in = mirrored([*kept, entering], first, second, last_but_one, last)
        columns = [Signal(data.ArrayLayout(unsigned(PIXEL_BITS), WINDOW)) for _ in range(WINDOW)]
        [steps] = delays(m, step, 1)
        with m.If(steps):
            m.d.sync += Cat(columns).eq(Cat(*columns[1:], *column_in))

        # Third clock: the window, mirrored left or right.
        beside = [delays(m, place == at, self.LATENCY)[-1] for at in (2, 3, 0, 1)]
        for line in range(WINDOW):
            in_line = mirrored([column[line] for column in columns], *beside)
            m.d.comb += [
                pixel.eq(value) for pixel, value in zip(self.o.p.pixels[line], in_line, strict=True)
            ]

        behind = column <= tail_column
        m.d.sync += [
            Assert(~taken | pixel.last_column | (column != self.max_width - 1), "a line too long"),
            Assert(~(ends_frame & (tail != Tail.NONE)), "a frame ends in the tail of another"),
            Assert(~(gives_tail & by_pixel & began), "two windows at once"),
            Assert(~(self.o.valid & self.aborted), "a window of an aborted frame"),
            Assert(~reads_tail | (tail_column <= edge), "a tail beside its frame"),
            # No line is overwritten before the tail has read it.
            Assert((tail != Tail.ROW) | ((slot == tail_slot) & behind), "overtakes the tail"),
            Assert(
                (tail != Tail.LAST_ROW)
                | (slot == (tail_slot - 1)[: len(slot)])
                | ((slot == tail_slot) & behind),
                "overtakes the tail's last line",
            ),
            # Nothing but the last two windows of a tail can meet a column that enters.
            Assert((tail != Tail.ROW) | ((row == 0) & behind), "lines come in the tail"),
            Assert(
                (tail != Tail.LAST_ROW) | (row == 0) | ((row == 1) & behind),
                "lines come in the tail's last line",
            ),
            Assert(
                (tail != Tail.CORNER)
                | (tail_column < RADIUS) & ((row < RADIUS) | ((row == RADIUS) & behind)),
                "windows come in the tail",
            ),
        ]
        return m

    def line(self, m, index, read_column, step, written, entering, taken):
        """Build the memory of a line; give what it had in ``read_column``, a clock later."""
        m.submodules[f"line_{index}"] = memory = Memory(
            shape=unsigned(PIXEL_BITS), depth=self.max_width, init=[]
        )
        write, read = memory.write_port(), memory.read_port()
        # Written a clock after the same place is read: the two ports never meet where it matters.
        m.d.comb += [
            write.addr.eq(written),
            write.data.eq(entering),
            write.en.eq(delays(m, taken, 1)[0]),
            read.addr.eq(read_column),
            read.en.eq(step),
        ]
        return read.data


def mirrored(values, first, second, last_but_one, last):
    """Mirror five values about the middle one, which is in the place that is named, or in none."""
    far_before, before, middle, behind, far_behind = values
    return [
        Mux(first, far_behind, Mux(second, middle, far_before)),
        Mux(first, behind, before),
        middle,
        Mux(last, before, behind),
        Mux(last, far_before, Mux(last_but_one, middle, far_behind)),
    ]
