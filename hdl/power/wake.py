"""Time of day, its alarm, and the events that wake the chip up."""

from amaranth.hdl import Assert, Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.power.crossing import synchronise
from hdl.power.domains import WakeSource

__all__ = ["Rtc", "Time", "WakeSources"]


class Time(data.Struct):
    """Seconds since whenever the clock was set, in units of 1/32768 s."""

    fraction: unsigned(15)
    seconds: unsigned(32)


class Rtc(wiring.Component):
    """Count the periods of the 32.768 kHz clock.

    Members
    -------
    time : Out(Time)
        Now.
    set : In(1)
        The time is ``set_time`` in the next cycle.
    set_time : In(Time)
        While ``set``.
    alarm : In(Time)
        When to wake up.
    armed : In(1)
        Look at it.
    due : Out(1)
        ``armed``, and the alarm's time has come or is past: an alarm set too late is due at once.
    """

    time: Out(Time)
    set: In(1)
    set_time: In(Time)
    alarm: In(Time)
    armed: In(1)
    due: Out(1)

    def elaborate(self, platform):
        """Build the counter and the comparison."""
        m = Module()
        now = self.time.as_value()
        m.d.sync += [
            now.eq(now + 1),
            self.due.eq(self.armed & (now >= self.alarm.as_value())),
        ]
        with m.If(self.set):
            m.d.sync += self.time.eq(self.set_time)
        return m


class WakeSources(wiring.Component):
    """Remember every event until it is cleared.

    Members
    -------
    wake : In(3)
        AUDIO, IMAGE, GPIO (`WakeSource`), asynchronous.  A rising edge is an event if the level
        lasts for more than a period; shorter pulses need an `EventCrossing`, or are noise.
    timer : In(1)
        A rising edge is the event TIMER.
    clear : In(4)
        Forgets events.  One that comes in the same cycle is kept.
    mask : In(4)
        Which ones wake up; the others are remembered, too.
    pending : Out(4)
        Events that have come.
    request : Out(1)
        One of ``pending`` that ``mask`` lets through.
    """

    wake: In(3)
    timer: In(1)
    clear: In(4)
    mask: In(4)
    pending: Out(4)
    request: Out(1)

    def elaborate(self, platform):
        """Build synchronisers, edge detectors and memory."""
        m = Module()
        assert WakeSource.TIMER.value == len(self.wake)
        levels = Cat(
            *(
                synchronise(m, self.wake[s.value], name=s.name.lower())
                for s in list(WakeSource)[:3]
            ),
            self.timer,
        )
        was, events = Signal(4), Signal(4)
        m.d.comb += [
            events.eq(levels & ~was),
            self.request.eq((self.pending & self.mask).any()),
        ]
        m.d.sync += [was.eq(levels), self.pending.eq((self.pending & ~self.clear) | events)]

        due, was_pending, was_clear = Signal(4), Signal(4), Signal(4)
        m.d.sync += [
            due.eq(events),
            was_pending.eq(self.pending),
            was_clear.eq(self.clear),
            Assert((due & ~self.pending) == 0, "an event is lost"),
            Assert((was_pending & ~was_clear & ~self.pending) == 0, "an event is forgotten"),
        ]
        return m
