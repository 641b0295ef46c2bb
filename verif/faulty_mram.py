"""The MRAM controller with its host port, scrubber and self-test, on banks with faults."""

# Amaranth's `m.If` is typed as a generator, not as the context manager that it is.
# pyright: reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.config import ChipConfig
from hdl.mram.controller import COUNTER_BITS, MramController
from hdl.mram.scrubber import INTERVAL_BITS, Scrubber
from hdl.mram.self_test import BACKGROUNDS, SelfTest
from hdl.mram.signals import FactoryWrite, ReadStream, WordPort, WordStatus
from verif.faulty_bank import BankFaults, FaultyBank

__all__ = ["TIME_OUT", "FaultyMram"]

TIME_OUT = 40
"""Cycles after which a bank that does not wake up has failed."""


class FaultyMram(wiring.Component):
    """Everything between the weight cache and the cells, with the simplest of sequencers.

    Parameters
    ----------
    config : ChipConfig
        ``mram_wakeup`` must be less than `TIME_OUT`.

    Members
    -------
    stream : In(ReadStream(config))
        As the weight cache has it.
    word : In(WordPort(config))
        As the host has it.
    scrub, idle, interval
        To the `Scrubber`, with ``scrub`` as its ``enable``.
    scrubbed, repaired, unrepaired, lost
        From it; ``repaired`` and ``lost`` are its ``corrected`` and ``uncorrectable``.
    test_start, test_bank, test_background, test_done, test_passed, test_status, test_address
        Of the `SelfTest`.
    corrected, uncorrectable, retries, wear, protect, busy
        Of the controller.
    factory : In(FactoryWrite(config))
        Into the cells.
    faults : array of In(BankFaults(config)), one a bank
        See there.
    cut : In(1)
        No supply, neither for the banks nor for the logic.
    """

    def __init__(self, config: ChipConfig):
        if config.mram_wakeup >= TIME_OUT:
            raise ValueError(f"mram_wakeup must be below {TIME_OUT}, not {config.mram_wakeup}")
        self.config = config
        banks = config.mram_banks
        super().__init__(
            {
                "stream": In(ReadStream(config)),
                "word": In(WordPort(config)),
                "scrub": In(1),
                "idle": In(1),
                "interval": In(INTERVAL_BITS),
                "scrubbed": Out(COUNTER_BITS),
                "repaired": Out(COUNTER_BITS),
                "unrepaired": Out(COUNTER_BITS),
                "lost": Out(COUNTER_BITS),
                "test_start": In(1),
                "test_bank": In(range(banks)),
                "test_background": In(range(BACKGROUNDS)),
                "test_done": Out(1),
                "test_passed": Out(1),
                "test_status": Out(WordStatus),
                "test_address": Out(config.mram_address_bits),
                "corrected": Out(COUNTER_BITS),
                "uncorrectable": Out(COUNTER_BITS),
                "retries": Out(COUNTER_BITS),
                "wear": Out(COUNTER_BITS).array(banks),
                "protect": In(banks),
                "busy": Out(1),
                "factory": In(FactoryWrite(config)),
                "faults": In(BankFaults(config)).array(banks),
                "cut": In(1),
            }
        )

    def elaborate(self, platform):
        """Connect everything."""
        m = Module()
        config, low = self.config, self.config.mram_bank_address_bits
        logic = Module()
        logic.submodules.controller = controller = MramController(config, ports=3)
        logic.submodules.scrubber = scrubber = Scrubber(config)
        logic.submodules.self_test = self_test = SelfTest(config)
        m.submodules.logic = ResetInserter(self.cut)(logic)
        connect(m, flipped(self.stream), controller.stream)
        connect(m, flipped(self.word), controller.words[0])
        connect(m, self_test.word, controller.words[1])
        connect(m, scrubber.word, controller.words[2])
        m.d.comb += [
            scrubber.enable.eq(self.scrub),
            scrubber.idle.eq(self.idle),
            scrubber.interval.eq(self.interval),
            self.scrubbed.eq(scrubber.scrubbed),
            self.repaired.eq(scrubber.corrected),
            self.unrepaired.eq(scrubber.unrepaired),
            self.lost.eq(scrubber.uncorrectable),
            self_test.start.eq(self.test_start),
            self_test.bank.eq(self.test_bank),
            self_test.background.eq(self.test_background),
            self.test_done.eq(self_test.done),
            self.test_passed.eq(self_test.passed),
            self.test_status.eq(self_test.status),
            self.test_address.eq(self_test.failing_address),
            self.corrected.eq(controller.corrected),
            self.uncorrectable.eq(controller.uncorrectable),
            self.retries.eq(controller.retries),
            controller.protect.eq(self.protect),
            self.busy.eq(controller.busy),
        ]
        for b, access in enumerate(controller.banks):
            m.submodules[f"bank{b}"] = bank = FaultyBank(config)
            port, waited = bank.port, Signal(range(TIME_OUT + 1), name=f"waited_{b}")
            connect(m, flipped(self.faults[b]), bank.faults)
            failed = waited == TIME_OUT
            # The logic dies with the banks, and so never sees one of them go.
            was_ready = Signal(name=f"was_ready_{b}")
            m.d.sync += was_ready.eq(access.ready)
            with m.If(~access.wake | self.cut):
                m.d.sync += waited.eq(0)
            with m.Elif(~port.awake & ~failed):
                m.d.sync += waited.eq(waited + 1)
            m.d.comb += [
                self.wear[b].eq(controller.wear[b]),
                port.supply.eq(access.wake & ~failed & ~self.cut),
                access.ready.eq(Mux(self.cut, was_ready, port.awake)),
                access.failed.eq(failed),
                port.enable.eq(access.enable & ~self.cut),
                port.write.eq(access.write),
                port.address.eq(access.address),
                port.data.eq(access.data),
                # Isolation: what comes out of a bank that is not awake is 0.
                access.q.eq(port.q & port.awake.replicate(len(port.q))),
                access.busy.eq(port.busy & port.awake),
                bank.factory_enable.eq(self.factory.enable & (self.factory.address[low:] == b)),
                bank.factory_address.eq(self.factory.address[:low]),
                bank.factory_data.eq(self.factory.data),
            ]
        return m
