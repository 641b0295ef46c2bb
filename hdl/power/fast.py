"""The fast level: sequencers of activation segments and MRAM banks on the core clock."""

from amaranth.hdl import Assert, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.config import ChipConfig
from hdl.power.crossing import CoreLink, synchronise
from hdl.power.domains import PowerState, fast_domains
from hdl.power.ramp import RampArbiter
from hdl.power.sequencer import Sequencer
from hdl.power.signals import DomainControl

__all__ = ["FastLevel"]

GROUPS = ("act", "mram")
"""Beginnings of the names of fast domains; each has a permission."""


class FastLevel(wiring.Component):
    """A sequencer for every fast domain, one ramp at a time, under the PMU's permission.

    A permission that the PMU withdraws falls here when no run is under way (``busy``); then all
    domains of the group go to RETAIN or OFF, and when they are at rest the PMU is told.

    Parameters
    ----------
    config : ChipConfig
        Its `fast_domains`.
    timeout : int, optional
        Core cycles until a supply, or a bank, has failed to come up; twice the bank's wake-up and
        32 more unless told.
    settle : int
        Core cycles that a supply needs after its last switch has closed.

    Members
    -------
    target : In(PowerState).array(domains)
        What is wanted of each domain, in the order of `fast_domains`.
    state : Out(PowerState).array(domains)
        What each is: `PowerRequest.state`.
    error : Out(domains)
        `PowerRequest.error` of each.
    rest : Out(domains)
        All switches of the domain are open, and stay so for now.
    control : Out(signature)
        A `DomainControl` for each domain, by its name.
    busy : In(1)
        A run is under way: permissions stay.  Must rise at the latest in the cycle after one with
        ``allowed``, in which the run was started, and must not otherwise.
    allowed : Out(1)
        Runs may begin.
    link : In(CoreLink())
        From and to the PMU, on another clock.
    """

    def __init__(self, config: ChipConfig, *, timeout: int | None = None, settle: int = 2):
        self.domains = fast_domains(config)
        count = len(self.domains)
        timeout = 2 * config.mram_wakeup + 32 if timeout is None else timeout
        self.sequencers = [
            Sequencer(domain, timeout=timeout, settle=settle) for domain in self.domains
        ]
        controls = {domain.name: Out(DomainControl(domain.steps)) for domain in self.domains}
        super().__init__(
            {
                "target": In(PowerState).array(count),
                "state": Out(PowerState).array(count),
                "error": Out(count),
                "rest": Out(count),
                "control": Out(wiring.Signature(controls)),
                "busy": In(1),
                "allowed": Out(1),
                "link": In(CoreLink()),
            }
        )

    def elaborate(self, platform):
        """Connect sequencers, arbiter and the crossings."""
        m = Module()
        link, count = self.link, len(self.domains)
        given = {
            group: synchronise(m, getattr(link, f"permit_{group}"), name=f"permit_{group}")
            for group in GROUPS
        }
        permits = {group: Signal(name=f"permit_{group}") for group in GROUPS}
        was_allowed = Signal()
        m.d.sync += [
            self.allowed.eq(Cat(given.values()).all()),
            was_allowed.eq(self.allowed),
        ]
        for group in GROUPS:
            with m.If(given[group]):
                m.d.sync += permits[group].eq(1)
            with m.Elif(~self.busy & ~self.allowed & ~was_allowed):
                m.d.sync += permits[group].eq(0)

        m.submodules.arbiter = arbiter = RampArbiter(count)
        m.d.comb += [
            arbiter.pause.eq(synchronise(m, link.pause, name="pause")),
            link.paused.eq(arbiter.paused),
        ]
        quiet = dict.fromkeys(GROUPS, 1)
        for index, (domain, sequencer) in enumerate(
            zip(self.domains, self.sequencers, strict=True)
        ):
            (group,) = (group for group in GROUPS if domain.name.startswith(group))
            quiet[group] &= sequencer.rest
            m.submodules[domain.name] = sequencer
            connect(m, sequencer.control, flipped(getattr(self.control, domain.name)))
            m.d.comb += [
                sequencer.request.target.eq(self.target[index]),
                sequencer.request.permit.eq(permits[group]),
                self.state[index].eq(sequencer.request.state),
                self.error[index].eq(sequencer.request.error),
                self.rest[index].eq(sequencer.rest),
                arbiter.ramps[index].eq(sequencer.ramp),
                sequencer.granted.eq(arbiter.grants[index]),
            ]
        for group in GROUPS:
            answer = Signal(init=1, name=f"quiet_{group}")
            m.d.sync += answer.eq(~given[group] & ~permits[group] & quiet[group])
            m.d.comb += getattr(link, f"quiet_{group}").eq(answer)

        self.promise(m, arbiter, permits)
        return m

    def promise(self, m: Module, arbiter: RampArbiter, permits: dict[str, Signal]) -> None:
        """Assert what the level as a whole guarantees."""
        was_grants, was_busy = Signal.like(arbiter.grants), Signal()
        m.d.sync += [was_grants.eq(arbiter.grants), was_busy.eq(self.busy)]
        rising = Signal(len(self.domains))
        for index, domain in enumerate(self.domains):
            switches = getattr(self.control, domain.name).switches
            was = Signal.like(switches, name=f"was_{domain.name}")
            m.d.sync += was.eq(switches)
            m.d.comb += rising[index].eq((switches & ~was).any())
        m.d.sync += [
            Assert((rising & ~was_grants) == 0, "a switch closes without a grant"),
            Assert((rising & (rising - 1)) == 0, "two domains ramp at once"),
        ]
        for group in GROUPS:
            was_permit = Signal(name=f"was_permit_{group}")
            m.d.sync += [
                was_permit.eq(permits[group]),
                Assert(~was_permit | permits[group] | ~was_busy, "a run loses its permission"),
            ]
            moving = Cat(
                ~self.rest[index]
                for index, domain in enumerate(self.domains)
                if domain.name.startswith(group)
            ).any()
            m.d.sync += Assert(
                ~getattr(self.link, f"quiet_{group}") | ~moving, "told to be quiet, and moves"
            )
