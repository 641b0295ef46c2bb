"""The MRAM controller on ideal banks, and what a bench needs to see of it."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, flipped

from hdl.config import ChipConfig
from hdl.mram.bank import MramBank
from hdl.mram.controller import COUNTER_BITS, MramController
from hdl.mram.signals import MRAM_CODE_BITS, MRAM_WORD_BITS, FactoryWrite, WordPort

__all__ = ["TIME_OUT", "ControlledMram"]

TIME_OUT = 12
"""Cycles after which a bank that does not wake has failed; less than `mram_wakeup` of no bank."""


class ControlledMram(wiring.Component):
    """A controller and its banks, each behind an adapter: the supply follows ``wake``.

    Members
    -------
    wake, wake_next, address, ready, valid, data, error, failed
        `hdl.mram.signals.ReadStream`.
    want : In(1)
        Read whenever ``ready``.
    words, protect, clear, corrected, uncorrectable, first_error_address, retries, wear, busy
        `hdl.mram.controller.MramController`.
    factory : In(FactoryWrite(config))
        Into the cells.
    broken : In(mram_banks)
        Banks that do not wake up.
    spoil : In(144)
        Bits that a write pulse that begins in this cycle stores wrong.
    pulse, pulse_address, pulse_data : Out
        A write pulse begins.
    awake : Out(mram_banks)
        Banks that take accesses.
    """

    def __init__(self, config: ChipConfig, *, ports: int, patience: int):
        self.config, self.ports, self.patience = config, ports, patience
        address, banks = config.mram_address_bits, config.mram_banks
        super().__init__(
            {
                "wake": In(1),
                "wake_next": In(1),
                "want": In(1),
                "address": In(address),
                "ready": Out(1),
                "valid": Out(1),
                "data": Out(MRAM_WORD_BITS),
                "error": Out(1),
                "failed": Out(1),
                "words": In(WordPort(config)).array(ports),
                "protect": In(banks),
                "clear": In(1),
                "corrected": Out(COUNTER_BITS),
                "uncorrectable": Out(COUNTER_BITS),
                "first_error_address": Out(address),
                "retries": Out(COUNTER_BITS),
                "wear": Out(COUNTER_BITS).array(banks),
                "busy": Out(1),
                "factory": In(FactoryWrite(config)),
                "broken": In(banks),
                "spoil": In(MRAM_CODE_BITS),
                "pulse": Out(1),
                "pulse_address": Out(address),
                "pulse_data": Out(MRAM_CODE_BITS),
                "awake": Out(banks),
            }
        )

    def elaborate(self, platform):
        """Connect everything."""
        m = Module()
        config, low = self.config, self.config.mram_bank_address_bits
        m.submodules.controller = controller = MramController(
            config, ports=self.ports, patience=self.patience
        )
        stream = controller.stream
        for outer, inner in zip(self.words, controller.words, strict=True):
            wiring.connect(m, flipped(outer), inner)
        m.d.comb += [
            stream.wake.eq(self.wake),
            stream.wake_next.eq(self.wake_next),
            stream.address.eq(self.address),
            stream.enable.eq(self.want & stream.ready),
            *(getattr(self, n).eq(getattr(stream, n)) for n in ("ready", "valid", "data")),
            *(getattr(self, n).eq(getattr(stream, n)) for n in ("error", "failed")),
            controller.protect.eq(self.protect),
            controller.clear.eq(self.clear),
            self.corrected.eq(controller.corrected),
            self.uncorrectable.eq(controller.uncorrectable),
            self.first_error_address.eq(controller.first_error_address),
            self.retries.eq(controller.retries),
            self.busy.eq(controller.busy),
        ]
        pulses = Signal(config.mram_banks)
        for b, access in enumerate(controller.banks):
            m.submodules[f"bank{b}"] = bank = MramBank(config)
            port, waited = bank.port, Signal(range(TIME_OUT + 1), name=f"waited_{b}")
            with m.If(~access.wake | ~self.broken[b]):
                m.d.sync += waited.eq(0)
            with m.Elif(waited != TIME_OUT):
                m.d.sync += waited.eq(waited + 1)
            m.d.comb += [
                self.wear[b].eq(controller.wear[b]),
                self.awake[b].eq(port.awake),
                pulses[b].eq(access.enable & access.write),
                port.supply.eq(access.wake & ~self.broken[b]),
                access.ready.eq(port.awake),
                access.failed.eq(waited == TIME_OUT),
                port.enable.eq(access.enable),
                port.write.eq(access.write),
                port.address.eq(access.address),
                port.data.eq(access.data ^ self.spoil),
                access.q.eq(port.q),
                access.busy.eq(port.busy),
                bank.factory_enable.eq(self.factory.enable & (self.factory.address[low:] == b)),
                bank.factory_address.eq(self.factory.address[:low]),
                bank.factory_data.eq(self.factory.data),
            ]
        chosen = Signal(range(config.mram_banks))
        for b in range(config.mram_banks):
            with m.If(pulses[b]):
                m.d.comb += chosen.eq(b)
        m.d.comb += [
            self.pulse.eq(pulses.any()),
            self.pulse_address.eq(
                Cat(Array(access.address for access in controller.banks)[chosen], chosen)
            ),
            self.pulse_data.eq(Array(access.data for access in controller.banks)[chosen]),
        ]
        return m
