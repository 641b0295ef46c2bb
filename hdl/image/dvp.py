"""Camera receiver (DVP): the camera's pixel clock is the clock of this block."""

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from hdl.image.pixels import (
    MAX_HEIGHT,
    MAX_WIDTH,
    MIN_SIZE,
    PIXEL_BITS,
    FrameSize,
    pixel_stream,
    raw_pixel,
)

__all__ = ["COUNTER_BITS", "DvpConfig", "DvpFaults", "DvpReceiver"]

COUNTER_BITS = 16
MIN_BITS = 8


class DvpConfig(data.Struct):
    """What arrives on the pins; see `models.image.dvp.DvpConfig`."""

    bits: unsigned(4)
    """Of a pixel, 8 to 12, on the lower pins; everything else means 12."""
    vsync_low: unsigned(1)
    """VSYNC is low between frames, as a "frame valid" is."""
    href_low: unsigned(1)
    """HREF is low with pixels."""


class DvpFaults(data.Struct):
    """What a frame was dropped for."""

    short_line: unsigned(1)
    """A line had fewer pixels than ``size.width``."""
    long_line: unsigned(1)
    """A line had more."""
    few_lines: unsigned(1)
    """VSYNC came after fewer lines than ``size.height``."""
    missing_vsync: unsigned(1)
    """A line came after a frame's last one, and no VSYNC in front of it."""
    bad_size: unsigned(1)
    """``enable`` with a ``size`` that line buffers cannot take: nothing is received."""


class State(enum.Enum, shape=unsigned(3)):
    """Where in a frame the pins are."""

    HUNT = 0
    """Off, or nothing counts until the next VSYNC."""
    BLANK = 1
    """In VSYNC."""
    GAP = 2
    """In front of a line."""
    LINE = 3
    """In a line; its last pixel is held."""
    END = 4
    """Behind the last line."""


class DvpReceiver(wiring.Component):
    """Take frames out of a camera's pins.  Bit-exact with `models.image.dvp.receive`.

    A pixel is held back until the next clock tells whether its line goes on: so the last pixel of
    a line that is too long never leaves, and a frame with a wrong line is never completed.  Any
    number of clocks may lie between lines and frames, one at least (HREF falls), and a line may
    begin with the end of VSYNC.

    Members
    -------
    enable : In(1)
        Receive, from the next VSYNC on.  Its fall drops the frame in progress, and no counter
        sees it.
    config : In(DvpConfig)
    size : In(FrameSize)
        May change while ``enable`` is low, and after that not ``busy``.
    vsync, href : In(1)
    data : In(12)
        Pins, as they are at the rising edge of the pixel clock.
    o : Out(pixel_stream(raw_pixel()))
        Pixels of 12 bits, `LATENCY` clocks after the clock of their pins.
    abort : Out(1)
        The frame is dropped of which pixels have left: never together with one.  The next is a
        first one.
    busy : Out(1)
        A frame is in progress, or would be received.
    good, dropped : Out(16)
        Frames, up to 65,535.
    faults : Out(DvpFaults)
        Of all frames since ``clear``.
    clear : In(1)
        Counters and faults to 0.
    """

    LATENCY = 3

    enable: In(1)
    config: In(DvpConfig)
    size: In(FrameSize)
    vsync: In(1)
    href: In(1)
    data: In(PIXEL_BITS)
    o: Out(pixel_stream(raw_pixel()))
    abort: Out(1)
    busy: Out(1)
    good: Out(COUNTER_BITS)
    dropped: Out(COUNTER_BITS)
    faults: Out(DvpFaults)
    clear: In(1)

    def elaborate(self, platform):
        """Build the input registers, the framing, and the pixel that is held."""
        m = Module()
        size = self.size
        blank, active, value = Signal(), Signal(), Signal(PIXEL_BITS)
        m.d.sync += [
            blank.eq(self.vsync ^ self.config.vsync_low),
            active.eq(self.href ^ self.config.href_low),
            value.eq(self.data),
        ]

        # A size is checked once and not in every clock.
        enabled, allowed, run = Signal(), Signal(), Signal()
        m.d.sync += [
            enabled.eq(self.enable),
            allowed.eq(
                (size.width >= MIN_SIZE)
                & (size.width <= MAX_WIDTH)
                & (size.height >= MIN_SIZE)
                & (size.height <= MAX_HEIGHT)
            ),
        ]
        m.d.comb += run.eq(enabled & allowed)

        state, wrong = Signal(State), Signal(DvpFaults)
        column = Signal(range(MAX_WIDTH + 1))  # pixels of this line so far
        row = Signal(range(MAX_HEIGHT + 1))  # lines of this frame so far
        held, take, emit, complete = Signal(raw_pixel()), Signal(), Signal(), Signal()
        pixel, fault = Signal(), Signal()
        m.d.comb += [pixel.eq(active & ~blank), fault.eq(wrong.as_value()[:4].any())]
        with m.If(~run):
            m.d.comb += wrong.bad_size.eq(enabled)
            m.d.sync += state.eq(State.HUNT)
        with m.Else():
            with m.Switch(state):
                with m.Case(State.HUNT):
                    with m.If(blank):
                        m.d.sync += state.eq(State.BLANK)
                with m.Case(State.BLANK):
                    m.d.comb += take.eq(pixel)
                    with m.If(~blank):
                        m.d.sync += state.eq(Mux(active, State.LINE, State.GAP))
                with m.Case(State.GAP):
                    m.d.comb += [wrong.few_lines.eq(blank), take.eq(pixel)]
                    with m.If(pixel):
                        m.d.sync += state.eq(State.LINE)
                with m.Case(State.LINE):
                    with m.If(pixel):
                        m.d.comb += [
                            take.eq(1),
                            emit.eq(~held.last_column),
                            wrong.long_line.eq(held.last_column),
                        ]
                    with m.Else():
                        early = blank & ~held.last_row
                        m.d.comb += [
                            emit.eq(held.last_column & ~early),
                            complete.eq(held.last_column & held.last_row),
                            wrong.short_line.eq(~held.last_column),
                            wrong.few_lines.eq(held.last_column & early),
                        ]
                        m.d.sync += [row.eq(row + 1), state.eq(State.GAP)]
                        with m.If(complete):
                            m.d.sync += state.eq(Mux(blank, State.BLANK, State.END))
                with m.Case(State.END):
                    m.d.comb += wrong.missing_vsync.eq(pixel)
                    with m.If(blank):
                        m.d.sync += state.eq(State.BLANK)
        with m.If(blank):
            m.d.sync += row.eq(0)
        with m.If(fault):
            m.d.sync += state.eq(Mux(blank, State.BLANK, State.HUNT))

        m.d.sync += column.eq(0)
        with m.If(take):
            m.d.sync += [
                held.value.eq(self.align(value)),
                held.last_column.eq(column == size.width - 1),
                held.last_row.eq(row == size.height - 1),
                column.eq(column + 1),
            ]
        # Of this frame at least one pixel has left, and not the last one.
        in_line, between = state == State.LINE, state == State.GAP
        partial = (in_line & ((row != 0) | (column != 1))) | (between & (row != 0))
        m.d.comb += self.busy.eq(state != State.HUNT)
        m.d.sync += [
            self.o.payload.eq(held),
            self.o.valid.eq(emit),
            self.abort.eq(partial & (fault | ~run)),
        ]

        for counter, event in ((self.good, complete), (self.dropped, fault)):
            m.d.sync += counter.eq(Mux(self.clear, 0, counter + (event & ~counter.all())))
        sticky = self.faults.as_value()
        m.d.sync += sticky.eq(Mux(self.clear, 0, sticky) | wrong.as_value())
        self.check(m, state=state, column=column, row=row, held=held, emit=emit)
        return m

    def align(self, value: Value) -> Value:
        """Clip to ``config.bits`` bits, and move these to the upper end of 12."""
        aligned = value
        for bits in range(MIN_BITS, PIXEL_BITS):
            clipped = value[:bits] | value[bits:].any().replicate(bits)
            up = Cat(Const(0, PIXEL_BITS - bits), clipped)
            aligned = Mux(self.config.bits == bits, up, aligned)
        return aligned

    def check(self, m: Module, *, state, column, row, held, emit) -> None:
        """Assert that frames leave whole: ``columns`` and ``rows`` of one have left so far."""
        size = self.size
        columns, rows = Signal.like(column), Signal.like(row)
        with m.If(emit):
            m.d.sync += columns.eq(columns + 1)
            with m.If(held.last_column):
                m.d.sync += [columns.eq(0), rows.eq(Mux(held.last_row, 0, rows + 1))]
        with m.If(self.abort):
            m.d.sync += [columns.eq(0), rows.eq(0)]
        in_line, between = state == State.LINE, state == State.GAP
        m.d.sync += [
            Assert(~(self.o.valid & self.abort), "a pixel of a frame that is dropped"),
            Assert(~self.abort | (columns != 0) | (rows != 0), "nothing to drop"),
            Assert(~emit | (held.last_column == (columns == size.width - 1)), "another width"),
            Assert(~emit | (held.last_row == (rows == size.height - 1)), "another height"),
            Assert(~in_line | ((columns == column - 1) & (rows == row)), "a pixel is missing"),
            Assert(~in_line | ((column > 0) & (column <= size.width)), "beyond a line's end"),
            Assert(~between | ((columns == 0) & (rows == row)), "a line is missing"),
            Assert(~(in_line | between) | (row < size.height), "beyond a frame's end"),
            Assert(
                in_line | between | self.abort | ((columns == 0) & (rows == 0)),
                "a frame without an end",
            ),
        ]
