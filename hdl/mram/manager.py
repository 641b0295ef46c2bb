"""The MRAM's manager: the controller, and those who use it on their own accord."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.config import ChipConfig
from hdl.mram.controller import COUNTER_BITS, MramController
from hdl.mram.scrubber import INTERVAL_BITS, Scrubber
from hdl.mram.self_test import BACKGROUNDS, SelfTest
from hdl.mram.signals import BankAccess, ReadStream, WordPort, WordStatus

__all__ = ["MaintenancePort", "MramManager"]


class MaintenancePort(wiring.Signature):
    """Registers of the manager, seen from whoever commands it: firmware, or a host.

    Members
    -------
    protect : Out(mram_banks)
        See `MramController`.
    scrub, interval : Out
        ``enable`` and ``interval`` of the `Scrubber`.
    test, test_bank, test_background : Out
        ``start``, ``bank`` and ``background`` of the `SelfTest`.  Destroys the bank's contents.
    test_busy, test_passed, test_status, test_address : In
        ``busy``, ``passed``, ``status`` and ``failing_address`` of the `SelfTest`.
    uncorrectable, retries : In(32)
        See `MramController`.
    scrubbed, repaired, unrepaired, lost : In(32)
        ``scrubbed``, ``corrected``, ``unrepaired`` and ``uncorrectable`` of the `Scrubber`.
    wear : In(32), one a bank
        See `MramController`.
    """

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "protect": Out(config.mram_banks),
                "scrub": Out(1),
                "interval": Out(INTERVAL_BITS),
                "test": Out(1),
                "test_bank": Out(range(config.mram_banks)),
                "test_background": Out(range(BACKGROUNDS)),
                "test_busy": In(1),
                "test_passed": In(1),
                "test_status": In(WordStatus),
                "test_address": In(config.mram_address_bits),
                "uncorrectable": In(COUNTER_BITS),
                "retries": In(COUNTER_BITS),
                "scrubbed": In(COUNTER_BITS),
                "repaired": In(COUNTER_BITS),
                "unrepaired": In(COUNTER_BITS),
                "lost": In(COUNTER_BITS),
                "wear": In(COUNTER_BITS).array(config.mram_banks),
            }
        )


class MramManager(wiring.Component):
    """Controller, scrubber and self-test: the contents of the power domain ``mctl``.

    Attributes
    ----------
    retained : tuple of Signal
        What must survive while the domain is off.

    Members
    -------
    stream, banks
        See `MramController`.
    word : In(WordPort(config))
        Operations on words, by the host.
    maintenance : In(MaintenancePort(config))
        Registers.
    idle : In(1)
        No program runs: scrubbing may go on.
    clear : In(1)
        A run begins: ``corrected`` counts from zero.
    corrected : Out(32)
        Wrong bits that were corrected since ``clear``.
    busy : Out(1)
        Something is in work: the domain must stay on.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "stream": In(ReadStream(config)),
                "banks": Out(BankAccess(config)).array(config.mram_banks),
                "word": In(WordPort(config)),
                "maintenance": In(MaintenancePort(config)),
                "idle": In(1),
                "clear": In(1),
                "corrected": Out(COUNTER_BITS),
                "busy": Out(1),
            }
        )
        self.controller = MramController(config)
        self.scrubber = Scrubber(config)
        self.retained = (*self.controller.retained, *self.scrubber.retained)

    def elaborate(self, platform):
        """Connect them."""
        m = Module()
        registers = self.maintenance
        m.submodules.controller = controller = self.controller
        m.submodules.scrubber = scrubber = self.scrubber
        m.submodules.self_test = self_test = SelfTest(self.config)

        connect(m, flipped(self.stream), controller.stream)
        for outer, inner in zip(self.banks, controller.banks, strict=True):
            connect(m, inner, flipped(outer))
        host, test, scrub = controller.words
        connect(m, flipped(self.word), host)
        connect(m, self_test.word, test)
        connect(m, scrubber.word, scrub)
        m.d.comb += [
            controller.protect.eq(registers.protect),
            controller.clear.eq(self.clear),
            self.corrected.eq(controller.corrected),
            self.busy.eq(controller.busy | scrubber.busy | self_test.busy),
            registers.uncorrectable.eq(controller.uncorrectable),
            registers.retries.eq(controller.retries),
            *(registers.wear[b].eq(count) for b, count in enumerate(controller.wear)),
            scrubber.enable.eq(registers.scrub),
            scrubber.idle.eq(self.idle),
            scrubber.interval.eq(registers.interval),
            registers.scrubbed.eq(scrubber.scrubbed),
            registers.repaired.eq(scrubber.corrected),
            registers.unrepaired.eq(scrubber.unrepaired),
            registers.lost.eq(scrubber.uncorrectable),
            self_test.start.eq(registers.test),
            self_test.bank.eq(registers.test_bank),
            self_test.background.eq(registers.test_background),
            registers.test_busy.eq(self_test.busy),
            registers.test_passed.eq(self_test.passed),
            registers.test_status.eq(self_test.status),
            registers.test_address.eq(self_test.failing_address),
        ]
        return m
