"""What stages of a fixed latency do with flags, and with the end of a frame that is cut short.

``abort`` is an event in the stream of pixels: it comes in its place between the pixels of the
frame that it takes back and those of the next one, and takes as long through a stage as they do.
So a complete frame in front of it is never lost, and no pixel of the frame that is forgotten comes
behind it.
"""

from amaranth.hdl import Module, Mux, Signal, Value

from hdl.image.delay import delays

__all__ = ["pass_on", "select_frames"]


def pass_on(m: Module, component) -> list[Value]:
    """Connect ``valid`` and flags of ``component.o`` with those of ``i``, `LATENCY` clocks before.

    The same for ``aborted`` and ``abort``.  Returns whether a pixel is in now, and in each of the
    clocks before.
    """
    i, o, clocks = component.i, component.o, component.LATENCY
    valid = i.valid & ~component.abort
    valids = [valid, *delays(m, valid, clocks)]
    m.d.comb += [
        o.valid.eq(valids[-1]),
        component.aborted.eq(delays(m, component.abort, clocks)[-1]),
        o.p.last_column.eq(delays(m, i.p.last_column, clocks)[-1]),
        o.p.last_row.eq(delays(m, i.p.last_row, clocks)[-1]),
    ]
    return valids


def select_frames(m: Module, i, abort: Value, enable: Value) -> Value:
    """Whether there is a pixel, of a frame at whose first pixel ``enable`` was high."""
    started, taken, taking = Signal(), Signal(), Signal()
    valid = i.valid & ~abort
    m.d.comb += taking.eq(Mux(started, taken, enable))
    with m.If(valid):
        m.d.sync += [started.eq(~(i.p.last_column & i.p.last_row)), taken.eq(taking)]
    with m.If(abort):
        m.d.sync += started.eq(0)
    return valid & taking
