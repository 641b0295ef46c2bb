"""Sequencer: takes one power domain from off, or retained, to on and back, in safe steps."""

from contextlib import contextmanager

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.power.domains import Level, PowerDomain, PowerState, Retention
from hdl.power.promises import assert_promises
from hdl.power.signals import DomainControl, PowerRequest

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Switch one domain; one action a cycle, every control wire straight from a flip-flop.

    Down: state no longer ON, isolate, clock off, keep what is to be kept (save pulse, or array
    supply), reset, open the switches one after another.  Up: ask for the ramp, close the switches
    one after another, wait for ``good``, (give up the array supply), clock on under reset,
    (restore), release the reset, de-isolate together with state ON.

    **Retained registers.** The save pulse comes when the clock has been off for a cycle, and a
    cycle passes between it and the reset: the values stand still.  ``restore`` rises under reset
    and falls a cycle after the reset has: a retained register must let ``restore`` win over
    reset, and no restored value is reset again even if the two wires arrive with different delays.
    There is a restore only if what the last save kept is still wanted.

    **Changes of mind.** Until ``isolate`` rises a domain turns back at no cost.  From then on it
    passes through its reset, but if ON is wanted by then the supply stays up and no ramp is needed.
    Once a switch opens, all open.  On the way up it turns back until the supply is good, and
    finishes from there on.  If OFF was wanted once on the way down, nothing is kept.

    **Failures.** The supply that is not good ``timeout`` cycles after its first switch closed, or
    that is lost later: isolated, clock off and in reset at once, all switches open, ``error``.

    Cycles, with ``S`` steps and ``G`` cycles from the last switch (and ``settle``) to ``good``:
    from target to ON ``S + G + 4`` with a `RampArbiter` that is free, 1 more for ARRAY and 2 more
    for REGISTERS; from target to isolation 2, to the last switch ``S + 4``, with ARRAY kept 1 more,
    with REGISTERS kept 2 more.  Only waiting for a grant has no bound of its own.

    Parameters
    ----------
    domain : PowerDomain
        ``steps`` and ``retention``.  With NON_VOLATILE ``good`` is the macro's own wake-up, which
        follows the ramp and is no part of it: the grant is returned when the switches are closed
        and have settled.  For others it is held until ``good``.
    timeout : int
        Cycles from the first switch closed to giving up, more than ``steps + settle``.
    settle : int
        Cycles that the supply needs after the last switch closed; until then ``good`` is ignored.

    Members
    -------
    request : In(PowerRequest)
        RETAIN is OFF to domains that have nothing to switch for it (NONE, NON_VOLATILE), and to one
        that is OFF already.  On its way a domain reports RETAIN if it keeps its contents, and OFF
        otherwise.
    control : Out(DomainControl(domain.steps))
        To the domain.  ``good`` must be synchronous.
    ramp : Out(1)
        Wants to close switches, or does: the rush of current.  Opening them needs no grant.
    granted : In(1)
        It may; must stay while ``ramp`` does.
    rest : Out(1)
        All switches are open and none is about to move.
    """

    def __init__(self, domain: PowerDomain, *, timeout: int, settle: int = 0):
        if domain.level is Level.ALWAYS_ON:
            raise ValueError(f"domain {domain.name!r} is always on and has no sequencer")
        if domain.steps < 1:
            raise ValueError(
                f"domain {domain.name!r} must have at least 1 step, not {domain.steps!r}"
            )
        if settle < 0:
            raise ValueError(f"settle must be at least 0, not {settle!r}")
        if timeout <= domain.steps + settle:
            raise ValueError(
                f"timeout must be more than steps + settle ({domain.steps + settle}), "
                f"not {timeout!r}"
            )
        self.domain, self.timeout, self.settle = domain, timeout, settle
        super().__init__(
            {
                "request": In(PowerRequest()),
                "control": Out(DomainControl(domain.steps)),
                "ramp": Out(1),
                "granted": In(1),
                "rest": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the state machine, and what it promises."""
        m = Module()
        request, control = self.request, self.control
        registers = self.domain.retention is Retention.REGISTERS
        array = self.domain.retention is Retention.ARRAY
        macro = self.domain.retention is Retention.NON_VOLATILE

        # What is wanted, with the permission in it.
        want_on, want_off = Signal(), Signal()
        m.d.comb += want_on.eq((request.target == PowerState.ON) & request.permit)
        if registers or array:
            want_retain = (request.target == PowerState.RETAIN) | (request.target == PowerState.ON)
            m.d.comb += want_off.eq(~want_on & ~want_retain)
        else:
            m.d.comb += want_off.eq(~want_on)

        # The domain stands still until its aon or core logic says otherwise.
        isolate, reset = Signal(init=1), Signal(init=1)
        clock, save, restore, retain = Signal(), Signal(), Signal(), Signal()
        switches = Signal(self.domain.steps)
        keep = Signal()  # the contents survive the next opening, or have survived the last
        failed = Signal()
        timer = Signal(range(self.timeout + 1))  # cycles since the first switch closed
        settling = Signal(range(self.settle + 1), init=self.settle)
        settled = settling == 0
        closing = Cat(Const(1, 1), switches)[: self.domain.steps]
        opening = switches >> 1

        def start_clock():
            m.d.sync += clock.eq(1)
            m.next = "RESTORE" if registers else "RELEASE"

        def supply_is_up():
            """Go on from a good supply: the array changes over to it first."""
            if array:
                m.d.sync += retain.eq(0)
                m.next = "START"
            else:
                start_clock()

        def lost():
            """Leave the domain dead, but safe."""
            m.d.sync += [
                isolate.eq(1), clock.eq(0), reset.eq(1), save.eq(0), restore.eq(0),
                keep.eq(0), retain.eq(0), failed.eq(1),
            ]  # fmt: skip
            m.next = "OPEN"

        @contextmanager
        def supplied(state):
            """A state that lasts only as long as the supply is good."""
            with m.State(state):
                yield
                with m.If(~control.good):
                    lost()

        with m.FSM(name="state") as fsm:
            self.encoding = fsm.encoding  # for benches: the names of its codes
            with m.State("REST"):
                m.d.sync += [timer.eq(0), settling.eq(self.settle)]
                m.d.comb += self.ramp.eq(want_on)
                with m.If(want_on & self.granted):
                    m.d.sync += switches.eq(closing)
                    m.next = "CLOSE" if self.domain.steps > 1 else "WAIT"
            if self.domain.steps > 1:
                with m.State("CLOSE"):
                    m.d.comb += self.ramp.eq(1)
                    m.d.sync += [switches.eq(closing), timer.eq(timer + 1)]
                    with m.If(closing.all()):
                        m.next = "WAIT"
                    with m.If(~want_on):
                        m.d.sync += switches.eq(opening)
                        m.next = "OPEN"
            with m.State("WAIT"):
                m.d.comb += self.ramp.eq(~settled if macro else 1)
                m.d.sync += timer.eq(timer + 1)
                with m.If(~settled):
                    m.d.sync += settling.eq(settling - 1)
                with m.If(~want_on):
                    m.next = "OPEN"
                with m.Elif(settled & control.good):
                    supply_is_up()
                with m.Elif(timer >= self.timeout - 1):
                    lost()
            if array:
                with supplied("START"):
                    start_clock()
            if registers:
                with supplied("RESTORE"):
                    m.d.sync += restore.eq(keep)
                    m.next = "RELEASE"
            with supplied("RELEASE"):
                m.d.sync += reset.eq(0)
                m.next = "RESTORED" if registers else "CONNECT"
            if registers:
                with supplied("RESTORED"):
                    m.d.sync += restore.eq(0)
                    m.next = "CONNECT"
            with supplied("CONNECT"):
                m.d.sync += isolate.eq(0)
                m.next = "ON"
            with supplied("ON"):
                with m.If(~want_on):
                    m.d.sync += keep.eq(registers or array)
                    m.next = "ISOLATE"
            with supplied("ISOLATE"):
                m.d.sync += isolate.eq(~want_on)
                m.next = "STOP"
                with m.If(want_on):
                    m.next = "ON"
            with supplied("STOP"):
                m.d.sync += clock.eq(0)
                m.next = "KEEP" if registers or array else "RESET"
            if array:
                with supplied("KEEP"):
                    m.d.sync += retain.eq(keep)
                    m.next = "RESET"
            if registers:
                with supplied("KEEP"):
                    m.d.sync += save.eq(keep)
                    m.next = "SAVED"
                with supplied("SAVED"):
                    m.d.sync += save.eq(0)
                    m.next = "RESET"
            with supplied("RESET"):
                m.d.sync += reset.eq(1)
                m.next = "RESUME"
            with supplied("RESUME"):  # the last way back before the supply goes
                with m.If(want_on):
                    supply_is_up()
                with m.Else():
                    m.d.sync += switches.eq(opening)
                    m.next = "OPEN"
            with m.State("OPEN"):
                m.d.sync += switches.eq(opening)
                with m.If(opening == 0):
                    m.d.sync += failed.eq(0)
                    m.next = "REST"
                    with m.If(failed):
                        m.next = "ERROR"
            with m.State("ERROR"):
                m.d.comb += request.error.eq(1)
                with m.If(want_off):
                    m.next = "REST"

        # Whoever wants OFF once gives the contents up.
        with m.If(want_off):
            m.d.sync += [keep.eq(0), retain.eq(0)]

        m.d.comb += [
            self.rest.eq(fsm.ongoing("ERROR") | (fsm.ongoing("REST") & ~want_on)),
            request.state.eq(
                Mux(fsm.ongoing("ON"), PowerState.ON, Mux(keep, PowerState.RETAIN, PowerState.OFF))
            ),
            control.switches.eq(switches),
            control.isolate.eq(isolate),
            control.reset.eq(reset),
            control.clock.eq(clock),
            control.save.eq(save),
            control.restore.eq(restore),
            control.retain.eq(retain),
        ]

        if platform == "formal":  # proved once and for all: a simulation need not ask again
            assert_promises(m, self, fsm, keep=keep, failed=failed, timer=timer, switches=switches)
        return m
