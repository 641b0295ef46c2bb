"""The MRAM: its banks, each a power domain behind isolation."""

from collections.abc import Callable

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, In, Out

from hdl.config import ChipConfig
from hdl.mram.bank import MramBank
from hdl.mram.signals import BankAccess, FactoryWrite
from hdl.power.domains import PowerState, fast_domains
from hdl.power.scramble import Noise
from hdl.power.signals import DomainControl

__all__ = ["MramArray"]


class MramArray(wiring.Component):
    """All banks, from the controller's accesses to the macros.

    Parameters
    ----------
    config : ChipConfig
        ``mram_banks`` and their sizes and times.
    bank : callable
        Makes a bank: `hdl.mram.bank.MramBank` or a component with its ports.
    power_aware : bool
        A bank without supply drives pseudo-random values, for simulation.

    Members
    -------
    access : array of In(BankAccess), one a bank
        From the controller.
    keep : In(mram_banks)
        Banks that stay awake although nobody accesses them.
    factory : In(FactoryWrite)
        Into the cells, powered or not.
    targets, states, errors : Out(PowerState), In(PowerState), In(1), one a bank
        Towards the banks' sequencers.
    control : array of In(DomainControl), one a bank
        From them.
    powered : Out(mram_banks)
        Banks that take current: some of their switches are closed.
    """

    def __init__(
        self,
        config: ChipConfig,
        *,
        bank: Callable[[ChipConfig], Component] = MramBank,
        power_aware: bool = True,
    ):
        self.config, self.bank, self.power_aware = config, bank, power_aware
        banks = config.mram_banks
        (steps,) = {d.steps for d in fast_domains(config) if d.name.startswith("mram")}
        super().__init__(
            {
                "access": In(BankAccess(config)).array(banks),
                "keep": In(banks),
                "factory": In(FactoryWrite(config)),
                "targets": Out(PowerState).array(banks),
                "states": In(PowerState).array(banks),
                "errors": In(1).array(banks),
                "control": In(DomainControl(steps)).array(banks),
                "powered": Out(banks),
            }
        )

    def elaborate(self, platform):
        """Put every bank behind its switch and its isolation."""
        m = Module()
        config = self.config
        noise, exposed = None, {}
        if self.power_aware:
            m.submodules.noise = noise = Noise(1)
        for b in range(config.mram_banks):
            m.submodules[f"mram{b}"] = bank = self.bank(config)
            access, control, macro = self.access[b], self.control[b], bank.port
            wanted = Signal(name=f"wanted_{b}")
            m.d.comb += [
                wanted.eq(access.wake | self.keep[b]),
                self.targets[b].eq(Mux(wanted, PowerState.ON, PowerState.OFF)),
                access.ready.eq((self.states[b] == PowerState.ON) & access.wake),
                access.failed.eq(self.errors[b]),
                macro.supply.eq(control.switches.all()),
                control.good.eq(macro.awake),
                self.powered[b].eq(control.switches.any()),
                macro.enable.eq(access.enable),
                macro.write.eq(access.write),
                macro.address.eq(access.address),
                macro.data.eq(access.data),
                bank.factory_enable.eq(
                    self.factory.enable
                    & (self.factory.address >> config.mram_bank_address_bits == b)
                ),
                bank.factory_address.eq(self.factory.address),
                bank.factory_data.eq(self.factory.data),
            ]
            q, busy = macro.q, macro.busy
            if noise is not None:
                exposed[b] = ~macro.supply & ~control.isolate
                q = Mux(macro.supply, macro.q, noise.choose(len(macro.q)))
                busy = Mux(macro.supply, macro.busy, noise.choose(1))
            m.d.comb += [
                access.q.eq(Mux(control.isolate, 0, q)),
                access.busy.eq(Mux(control.isolate, 0, busy)),
            ]
            m.d.sync += [
                Assert(
                    ~access.enable | (access.ready & ~control.isolate), "access to an isolated bank"
                ),
                Assert(
                    macro.supply | ~(access.q.any() | access.busy),
                    f"bank {b} is dead and drives the controller",
                ),
            ]
        if noise is not None:
            # Behind isolation nobody sees it: new values then would only cost time.
            m.d.comb += noise.down.eq(Cat(exposed.values()).any())
        return m
