"""PMU and fast level together, on two clocks, with the core's stopped when the PMU says so."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect

from hdl.config import ChipConfig
from hdl.power.crossing import EventCrossing
from hdl.power.domains import Mode, coarse_domains, fast_domains
from hdl.power.fast import FastLevel
from hdl.power.pmu import Pmu

__all__ = ["FIELDS", "PowerSystem"]

FIELDS = {
    "switches": 4, "isolate": 1, "reset": 1, "clock": 1, "save": 1, "restore": 1, "retain": 1,
    "state": 2, "error": 1, "good": 1,
}  # fmt: skip
"""What the bench sees of a domain: bits of a 16-bit word, lowest first."""


class PowerSystem(wiring.Component):
    """The device under test of `verif.tb_pmu`: plain inputs, and one word for each domain.

    ``clk`` is the core's clock at its source, which never stops; what the fast level gets is gated.

    Members
    -------
    words : Out
        16 bits a domain, coarse ones first: `FIELDS`, then zeros.
    status : Out(16)
        From bit 0: mode (3), mode_ready, core_clock, error, wake_pending (4), allowed.
    moved : Out(1)
        ``words`` or the core clock's bit are others than at the last edge of ``clk``.
    good : In(domains)
        Supplies, coarse ones first.
    targets : In(2 bits a fast domain)
        What is wanted of each.
    mode_request, wake_mode, wake, wake_mask, wake_clear, error_clear, busy
        See `Pmu` and `FastLevel`; ``wake`` is asynchronous.
    pulse : In(1)
        Wakes up as AUDIO, through an `EventCrossing`: on ``clk``, one cycle or more.
    """

    def __init__(self, config: ChipConfig, *, timeout: int, settle: int):
        self.config, self.timeout, self.settle = config, timeout, settle
        self.coarse, self.fast = coarse_domains(config), fast_domains(config)
        count = len(self.coarse) + len(self.fast)
        super().__init__(
            {
                "words": Out(16 * count),
                "status": Out(16),
                "moved": Out(1),
                "good": In(count),
                "targets": In(2 * len(self.fast)),
                "mode_request": In(3),
                "wake_mode": In(3),
                "wake": In(3),
                "wake_mask": In(4),
                "wake_clear": In(4),
                "error_clear": In(1),
                "busy": In(1),
                "pulse": In(1),
            }
        )

    def elaborate(self, platform):
        """Connect the two levels and gate the clock between them."""
        m = Module()
        m.domains.core = ClockDomain()
        m.domains.fall = ClockDomain(clk_edge="neg", reset_less=True)
        running, enable = Signal(), Signal()
        rename = DomainRenamer("aon")
        m.submodules.pmu = pmu = rename(Pmu(self.config, timeout=self.timeout, settle=self.settle))
        fast = FastLevel(self.config, timeout=self.timeout, settle=self.settle)
        m.submodules.fast = DomainRenamer("core")(fast)
        connect(m, pmu.link, fast.link)
        # A gate that makes no glitches: enabled while the clock is low.
        m.submodules.running = FFSynchronizer(pmu.core_clock, running)
        m.d.fall += enable.eq(running)
        m.d.comb += [
            ClockSignal("fall").eq(ClockSignal("sync")),
            ClockSignal("core").eq(ClockSignal("sync") & enable),
            ResetSignal("core").eq(ResetSignal("sync")),
        ]

        m.submodules.event = event = EventCrossing("sync", "aon")
        m.d.comb += [
            event.i.eq(self.pulse),
            pmu.mode_request.eq(Mode(self.mode_request)),
            pmu.wake_mode.eq(Mode(self.wake_mode)),
            pmu.wake.eq(self.wake | event.o),
            pmu.wake_mask.eq(self.wake_mask),
            pmu.wake_clear.eq(self.wake_clear),
            pmu.error_clear.eq(self.error_clear),
            fast.busy.eq(self.busy),
            self.status.eq(
                Cat(pmu.mode, pmu.mode_ready, pmu.core_clock, pmu.error, pmu.wake_pending,
                    fast.allowed)
            ),
        ]  # fmt: skip
        for index, domain in enumerate((*self.coarse, *self.fast)):
            offset = index - len(self.coarse)
            level = fast if offset >= 0 else pmu
            control = getattr(level.control, domain.name)
            number = offset if offset >= 0 else index
            errors = fast.error if offset >= 0 else pmu.errors
            values = {name: getattr(control, name) for name in FIELDS if hasattr(control, name)}
            values |= {"state": level.state[number], "error": errors[number]}
            word, at = self.words.word_select(index, 16), 0
            for name, width in FIELDS.items():
                m.d.comb += word[at : at + width].eq(values[name])
                at += width
            m.d.comb += control.good.eq(self.good[index])
            if offset >= 0:
                m.d.comb += fast.target[offset].eq(self.targets.word_select(offset, 2))
        seen = Cat(self.words, pmu.core_clock)
        was = Signal.like(seen)
        m.d.sync += was.eq(seen)
        m.d.comb += self.moved.eq(seen != was)
        return m
