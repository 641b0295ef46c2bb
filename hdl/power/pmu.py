"""Power management unit: modes, coarse domains, core clock and wake-up, on the always-on clock."""

from collections.abc import Iterable

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.power.crossing import CoreLink, synchronise
from hdl.power.domains import MODES, Mode, PowerDomain, PowerState, Retention, coarse_domains
from hdl.power.sequencer import Sequencer
from hdl.power.signals import DomainControl
from hdl.power.supply import SharedSupply
from hdl.power.wake import Rtc, Time, WakeSources

__all__ = ["Pmu"]

RESTING_MODES = tuple(mode for mode, entry in MODES.items() if not entry.core)
"""Modes that a wake-up leaves."""


class Pmu(wiring.Component):
    """Bring the chip into the mode that is wanted, and keep it there.

    Written in domain ``sync``, meant for the always-on clock: ``DomainRenamer("aon")``.

    **What is wanted**: ``mode_request``; while that is one of SLEEP, AUDIO_WATCH and IMAGE_WATCH
    and an event is pending, ``wake_mode``; while ``error``, SLEEP.  It may change at any time.  A
    code without a mode changes nothing.

    **Order of a change**: core clock on (if needed) and seen to run; permissions withdrawn, and
    the fast level quiet; domains off, all at once; domains on, one ramp after another; permissions
    given, and the fast level aware of it; core clock off (if not needed).  If something else is
    wanted meanwhile, it begins again from where it is; only the withdrawal of a permission is
    always waited for: a run that is under way ends first.

    **Failures**: a domain that does not come up, or loses its supply, or a core clock that does not
    answer, leaves a bit in ``errors`` until ``error_clear``, and the chip goes to SLEEP.

    Parameters
    ----------
    config : ChipConfig
        Its `coarse_domains`.
    timeout : int
        Periods that a domain's supply, or the core clock, may take.
    settle : int
        Periods that a supply needs after its last switch has closed.

    Members
    -------
    mode_request : In(Mode)
        Level: the mode to be in when nothing wakes the chip up.
    wake_mode : In(Mode)
        The mode of a wake-up.
    mode : Out(Mode)
        The last mode that was reached.
    mode_ready : Out(1)
        ``mode`` is what is wanted, and all of it is there.
    wake, wake_clear, wake_mask, wake_pending
        `WakeSources`: ``wake``, ``clear``, ``mask``, ``pending``.
    time, set_time, set, alarm, armed
        `Rtc`: its alarm is the event TIMER.
    errors : Out(coarse domains + 1)
        Sticky, a bit for each coarse domain and the last for the core clock.
    error : Out(1)
        One of ``errors``.
    error_clear : In(1)
        Forgets ``errors``, and tries again.
    state : Out(PowerState).array(coarse domains)
        Of each coarse domain.
    control : Out(signature)
        A `DomainControl` for each coarse domain, by its name; ``good`` may be asynchronous.
    core_clock : Out(1)
        The core's clock runs.
    link : Out(CoreLink())
        To the fast level.
    """

    def __init__(self, config: ChipConfig, *, timeout: int = 64, settle: int = 1):
        self.domains = coarse_domains(config)
        self.timeout, self.settle = timeout, settle
        controls = {domain.name: Out(DomainControl(domain.steps)) for domain in self.domains}
        super().__init__(
            {
                "mode_request": In(Mode),
                "wake_mode": In(Mode),
                "mode": Out(Mode),
                "mode_ready": Out(1),
                "wake": In(3),
                "wake_clear": In(4),
                "wake_mask": In(4),
                "wake_pending": Out(4),
                "time": Out(Time),
                "set": In(1),
                "set_time": In(Time),
                "alarm": In(Time),
                "armed": In(1),
                "errors": Out(len(self.domains) + 1),
                "error": Out(1),
                "error_clear": In(1),
                "state": Out(PowerState).array(len(self.domains)),
                "control": Out(wiring.Signature(controls)),
                "core_clock": Out(1),
                "link": Out(CoreLink()),
            }
        )

    def elaborate(self, platform):
        """Build the change of modes around sequencers, supply and wake-up."""
        m = Module()
        count = len(self.domains)
        link = self.link

        m.submodules.rtc = rtc = Rtc()
        m.submodules.wake = wake = WakeSources()
        m.d.comb += [
            self.time.eq(rtc.time),
            rtc.set.eq(self.set),
            rtc.set_time.eq(self.set_time),
            rtc.alarm.eq(self.alarm),
            rtc.armed.eq(self.armed),
            wake.wake.eq(self.wake),
            wake.timer.eq(rtc.due),
            wake.clear.eq(self.wake_clear),
            wake.mask.eq(self.wake_mask),
            self.wake_pending.eq(wake.pending),
        ]

        wanted, goal = Signal(Mode), Signal(Mode)
        known = Signal()
        request = Signal(Mode)  # the last code that was a mode
        asked = Signal(Mode)
        m.d.sync += request.eq(asked)
        m.d.comb += [asked.eq(request), wanted.eq(asked), self.error.eq(self.errors.any())]
        with m.If(is_one_of(self.mode_request, Mode)):
            m.d.comb += asked.eq(self.mode_request)
        m.d.comb += known.eq(is_one_of(self.wake_mode, Mode))
        with m.If(is_one_of(asked, RESTING_MODES) & wake.request & known):
            m.d.comb += wanted.eq(self.wake_mode)
        with m.If(self.error):
            m.d.comb += wanted.eq(Mode.SLEEP)

        on, core, permits = Signal(count), Signal(), Signal(2)  # what the goal asks for
        with m.Switch(goal):
            for mode, entry in MODES.items():
                with m.Case(mode):
                    m.d.comb += [
                        on.eq(sum((d.name in entry.on) << i for i, d in enumerate(self.domains))),
                        core.eq(entry.core),
                        permits.eq(("act" in entry.permits) | ("mram" in entry.permits) << 1),
                    ]

        given = Signal(2)  # permissions: act, mram
        quiet = Cat(
            synchronise(m, link.quiet_act, name="quiet_act", init=1),
            synchronise(m, link.quiet_mram, name="quiet_mram", init=1),
        )
        m.d.comb += Cat(link.permit_act, link.permit_mram).eq(given)

        m.submodules.supply = supply = SharedSupply(count)
        targets = Signal(count)
        sequencers = [
            self.add_domain(m, index, domain, supply, targets[index])
            for index, domain in enumerate(self.domains)
        ]
        is_on = Cat(state == PowerState.ON for state in self.state)
        rests = Cat(sequencer.rest for sequencer in sequencers)
        failed = Cat(sequencer.request.error for sequencer in sequencers)
        no_clock = Signal()
        kept = Mux(self.error_clear, 0, self.errors)
        m.d.sync += self.errors.eq(kept | Cat(failed, no_clock))

        m.d.comb += [
            supply.core_clock.eq(self.core_clock),
            link.pause.eq(supply.pause),
            supply.paused.eq(synchronise(m, link.paused, name="paused")),
        ]
        patience = Signal(range(self.timeout + 1))
        again = wanted != goal

        with m.FSM(name="change") as fsm:
            self.encoding = fsm.encoding  # for benches: the names of its codes
            with m.State("SETTLED"):
                m.d.comb += self.mode_ready.eq(wanted == self.mode)
                with m.If(wanted != self.mode):
                    m.d.sync += goal.eq(wanted)
                    m.next = "START"
            with m.State("START"):
                m.d.sync += patience.eq(0)
                with m.If(~core | self.core_clock):
                    m.next = "WITHDRAW"
                with m.Elif(supply.free):
                    m.d.sync += self.core_clock.eq(1)
                    m.next = "ALIVE"
            with m.State("ALIVE"):
                m.d.comb += supply.probe.eq(1)
                m.d.sync += patience.eq(patience + 1)
                with m.If(supply.alive):
                    m.next = "WITHDRAW"
                with m.Elif(patience >= self.timeout):
                    m.d.comb += no_clock.eq(1)
                    m.d.sync += [self.core_clock.eq(0), goal.eq(Mode.SLEEP)]
                    m.next = "WITHDRAW"
            with m.State("WITHDRAW"):
                m.d.sync += given.eq(given & permits)
                m.next = "QUIET"
            with m.State("QUIET"):
                with m.If((given | quiet).all()):
                    m.next = "DOWN"
            with m.State("DOWN"):
                m.d.sync += targets.eq(targets & on)
                with m.If(((targets & ~on) == 0) & (targets | rests).all()):
                    m.next = "UP"
                with m.If(again):
                    m.d.sync += goal.eq(wanted)
                    m.next = "START"
            with m.State("UP"):
                m.d.sync += targets.eq(on)
                with m.If((targets == on) & ((~on | is_on).all())):
                    m.next = "GIVE"
                with m.If(again):
                    m.d.sync += goal.eq(wanted)
                    m.next = "START"
            with m.State("GIVE"):
                m.d.sync += given.eq(permits)
                m.next = "GIVEN"
            with m.State("GIVEN"):
                with m.If((~given | ~quiet).all()):
                    m.next = "STOP"
            with m.State("STOP"):
                with m.If(core | ~self.core_clock):
                    m.d.sync += self.mode.eq(goal)
                    m.next = "SETTLED"
                with m.Elif(supply.free):
                    m.d.sync += self.core_clock.eq(0)

        self.promise(m, fsm, goal=goal, on=on, core=core, permits=permits, given=given, quiet=quiet,
                     targets=targets, rests=rests)  # fmt: skip
        # An event that wakes up is pending, and nothing is done about it.
        lazy, was_lazy = Signal(), Signal()
        m.d.comb += lazy.eq(
            fsm.ongoing("SETTLED")
            & is_one_of(self.mode, RESTING_MODES)
            & is_one_of(asked, RESTING_MODES)
            & wake.request
            & known
            & (self.wake_mode != self.mode)
            & ~self.error
        )
        m.d.sync += [
            was_lazy.eq(lazy),
            Assert(~(lazy & was_lazy), "sleeps through an event"),
            Assert(is_one_of(request, Mode), "a request without a mode"),
        ]
        return m

    def promise(
        self, m: Module, fsm, *, goal, on, core, permits, given, quiet, targets, rests
    ) -> None:
        """Assert what clock, permissions and domains have to do with each other."""
        state = {name: fsm.ongoing(name) for name in fsm.encoding}
        cores = Cat(domain.clock == "sync" for domain in self.domains)
        clocks = Cat(getattr(self.control, domain.name).clock for domain in self.domains)
        started = Cat(state[name] for name in state if name not in ("SETTLED", "START", "ALIVE"))
        settled = state["GIVE"] | state["GIVEN"] | state["STOP"] | state["SETTLED"]
        asking = Cat(state[name] for name in ("QUIET", "DOWN", "UP", "GIVE"))
        heard_of = Cat(state[name] for name in ("DOWN", "UP", "GIVE"))
        heard = Signal(2, init=3)  # the fast level has been quiet since it has no permission
        m.d.sync += heard.eq((heard | quiet) & ~given)
        no_core = ((targets & cores) == 0) & (~cores | rests).all() & (given == 0)
        m.d.sync += [
            Assert(self.core_clock | ((clocks & cores) == 0), "a domain without its clock"),
            Assert(self.core_clock | no_core, "the core's clock stands still too early"),
            Assert(~asking.any() | ((given & ~permits) == 0), "a permission is not withdrawn"),
            Assert(~heard_of.any() | (given | heard).all(), "goes on before the core is quiet"),
            Assert(~settled | ((targets == on) & (targets | rests).all()), "not where it says"),
            # What makes these provable.
            Assert(sum(state.values()) == 1, "no state"),
            Assert(is_one_of(goal, Mode) & is_one_of(self.mode, Mode), "no mode"),
            Assert(~state["ALIVE"] | (core & self.core_clock & no_core), "in a hurry"),
            Assert(~started.any() | ~core | self.core_clock, "goes on without a clock"),
            Assert(~state["SETTLED"] | (goal == self.mode), "in another mode than it says"),
            Assert(~state["SETTLED"] | (given == permits), "other permissions than the mode's"),
            Assert(~state["SETTLED"] | (core == self.core_clock), "not the mode's clock"),
            Assert(
                ~state["UP"] | (((targets & ~on) == 0) & (targets | rests).all()),
                "goes up before all is down",
            ),
            Assert(~(state["GIVEN"] | state["STOP"]) | (given == permits), "too much permitted"),
        ]

    def add_domain(
        self,
        m: Module,
        index: int,
        domain: PowerDomain,
        supply: SharedSupply,
        target: Signal,
    ) -> Sequencer:
        """Add the sequencer of a domain that is on while ``target``."""
        sequencer = Sequencer(domain, timeout=self.timeout, settle=self.settle)
        m.submodules[domain.name] = sequencer
        control = getattr(self.control, domain.name)
        good = synchronise(m, control.good, name=f"good_{domain.name}")
        for name in sequencer.control.signature.members:
            if name != "good":
                m.d.comb += getattr(control, name).eq(getattr(sequencer.control, name))
        retains = domain.retention in (Retention.REGISTERS, Retention.ARRAY)
        resting = PowerState.RETAIN if retains else PowerState.OFF
        m.d.comb += [
            sequencer.control.good.eq(good),
            sequencer.request.permit.eq(1),
            sequencer.request.target.eq(resting),
            self.state[index].eq(sequencer.request.state),
            supply.ramps[index].eq(sequencer.ramp),
            sequencer.granted.eq(supply.grants[index]),
        ]
        with m.If(target):
            m.d.comb += sequencer.request.target.eq(PowerState.ON)
        # A domain that failed has nothing to keep, and must be told so to try again.
        with m.Elif(sequencer.request.error):
            m.d.comb += sequencer.request.target.eq(PowerState.OFF)
        return sequencer


def is_one_of(code: Value, modes: Iterable[Mode]) -> Value:
    """Compare a code, which may be none of the modes at all."""
    return Value.cast(code).matches(*(mode.value for mode in modes))
