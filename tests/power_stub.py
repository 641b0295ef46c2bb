"""A component with all ports of the chip that have to do with power, modes and errors.

A stored word of the MRAM, 144 bits, is a job: bits 0..15 its cycles, 16 last, 17..18 the kind of an
error that it ends in, 19 adds one to the corrected words, 20 turns the core clock off, 24..31 the
MRAM banks that have power, 64 and up the states of all domains, two bits each.

Word 0 of activation bank 3 reads as gating, footprint and held.  While no job runs, the first
domain is ON if the policy is `Gating.ALWAYS_ON`, and follows a change of it `SWITCH_CYCLES` later.
"""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ChipConfig
from hdl.engine.memory import HostPort
from hdl.mram.signals import FactoryWrite
from hdl.power import Gating, Mode, PowerState, power_domains

__all__ = ["MODE_PERIODS", "SWITCH_CYCLES", "TURN_OFF", "PowerStub", "power_job"]

MODE_PERIODS = 5
"""Periods of the always-on clock that a change of mode takes."""
SWITCH_CYCLES = 100
OPEN_CYCLES = 20
TURN_OFF = 1 << 20


def power_job(cycles, *, last=False, error=0, corrected=False, banks=0, states=(), other=0):
    """Bytes of a stored word."""
    word = cycles | last << 16 | error << 17 | corrected << 19 | banks << 24 | other
    for domain, state in enumerate(states):
        word |= state.value << 64 + 2 * domain
    return list(word.to_bytes(18, "little"))


class PowerStub(wiring.Component):
    """See the module.  ``broken``: "host" never gets ready, "mode" never changes."""

    def __init__(self, config: ChipConfig, broken: str = ""):
        self.config, self.broken = config, broken
        self.domains = len(power_domains(config))
        segments = config.activation_segments
        super().__init__(
            {
                "start": In(1),
                "program": In(unsigned(config.mram_address_bits)),
                "busy": Out(1),
                "layer_done": Out(1),
                "host": In(HostPort(config)),
                "mram_write": In(FactoryWrite(config)),
                "mram_reads": Out(32),
                "mram_active": Out(1),
                "gating": In(Gating),
                "footprint": In(segments),
                "held": In(segments),
                "error": Out(1),
                "error_kind": Out(2),
                "error_address": Out(config.mram_address_bits),
                "corrected": Out(32),
                "power_state": Out(2 * self.domains),
                "mram_banks_powered": Out(config.mram_banks),
                "mode_request": In(Mode),
                "mode": Out(Mode),
                "mode_ready": Out(1),
                "wake": In(3),
                "core_clock": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.mram = mram = Memory(shape=144, depth=self.config.mram_words, init=[])
        write, read = mram.write_port(), mram.read_port(domain="comb")
        address = Signal(self.config.mram_address_bits)
        m.d.comb += [
            write.en.eq(self.mram_write.enable),
            write.addr.eq(self.mram_write.address),
            write.data.eq(self.mram_write.data),
            read.addr.eq(address),
        ]
        word = read.data

        switching = Signal(range(SWITCH_CYCLES), init=SWITCH_CYCLES - 1)
        before, idle_on = Signal(Gating), Signal()
        m.d.sync += before.eq(self.gating)
        with m.If(before != self.gating):
            m.d.sync += switching.eq(0)
        with m.Elif(switching != SWITCH_CYCLES - 1):
            m.d.sync += switching.eq(switching + 1)
        with m.Else():
            m.d.sync += idle_on.eq(self.gating == Gating.ALWAYS_ON)
        with m.If(self.busy):
            m.d.comb += [
                self.power_state.eq(word[64:]),
                self.mram_banks_powered.eq(word[24:32]),
                self.mram_active.eq(1),  # not what counts when banks are told apart
            ]
        with m.Elif(idle_on):
            m.d.comb += self.power_state.eq(PowerState.ON.value)

        opening = Signal(range(OPEN_CYCLES + 1))
        with m.If(~self.host.open):
            m.d.sync += opening.eq(0)
        with m.Elif(opening != OPEN_CYCLES):
            m.d.sync += opening.eq(opening + 1)
        m.d.comb += self.host.ready.eq((opening == OPEN_CYCLES) & (self.broken != "host"))
        with m.If(self.host.enable & self.host.ready & (self.host.bank == 3)):
            m.d.sync += self.host.q.eq(Cat(self.gating, self.footprint, self.held))

        spent, turn_off = Signal(16), Signal()
        with m.If(self.busy):
            m.d.sync += spent.eq(spent + 1)
            m.d.comb += turn_off.eq(word[20])
            with m.If(spent == word[:16] - 1):
                m.d.comb += self.layer_done.eq(1)
                m.d.sync += [
                    spent.eq(0),
                    address.eq(address + 1),
                    self.corrected.eq(self.corrected + word[19]),
                    self.error.eq(word[17:19] != 0),
                    self.error_kind.eq(word[17:19]),
                    self.error_address.eq(address),
                    self.busy.eq(~word[16] & (word[17:19] == 0)),
                ]
        with m.Elif(self.start):
            m.d.sync += [
                self.busy.eq(1), address.eq(self.program), self.corrected.eq(0), self.error.eq(0),
            ]  # fmt: skip
        self.elaborate_modes(m, turn_off)
        return m

    def elaborate_modes(self, m, turn_off):
        """What runs on the always-on clock."""
        m.submodules += FFSynchronizer(turn_off, turned_off := Signal(), o_domain="aon")
        passed = Signal(range(MODE_PERIODS))
        m.d.comb += [
            self.mode_ready.eq(self.mode == self.mode_request),
            self.core_clock.eq((self.mode == Mode.INFER) & ~turned_off),
        ]
        with m.If(self.mode_ready):
            m.d.aon += passed.eq(0)
        with m.Elif(passed != MODE_PERIODS - 1):
            m.d.aon += passed.eq(passed + 1)
        with m.Elif(self.broken != "mode"):
            m.d.aon += self.mode.eq(self.mode_request)
        with m.If(self.wake.any() & (self.broken != "mode")):
            m.d.aon += self.mode.eq(Mode.INFER)
