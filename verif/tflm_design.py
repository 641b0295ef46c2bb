"""The hardware of TFLM's front end behind the FFT, and its constants and tables."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import connect, flipped

from hdl.audio.config import AudioConfig
from hdl.audio.multipliers import MultiplierBank
from hdl.audio.pcan import PARABOLA
from hdl.audio.tflm_tail import USERS, TflmConstants, TflmTail
from models.audio.noise_reduction import NoiseReduction
from models.audio.pcan import Pcan

__all__ = ["TflmTailAlone", "gain_rows", "tflm_constants"]


class TflmTailAlone(wiring.Component):
    """`TflmTail` and a `MultiplierBank` of its own; members as `TflmTail`, without the ports."""

    def __init__(self, config: AudioConfig):
        self.tail = TflmTail(config)
        members = self.tail.signature.members
        super().__init__({name: members[name] for name in members if name != "multiply"})

    def elaborate(self, platform: Any) -> Module:
        """Connect both."""
        m = Module()
        m.submodules.tail = tail = self.tail
        m.submodules.bank = bank = MultiplierBank(USERS)
        for user, port in zip(tail.multiply, bank.users, strict=True):
            connect(m, user, port)
        for name in ("gains", "frame", "i"):
            connect(m, flipped(getattr(self, name)), getattr(tail, name))
        connect(m, tail.o, flipped(self.o))
        m.d.comb += [
            tail.bands.eq(self.bands),
            tail.constants.eq(self.constants),
            tail.clear.eq(self.clear),
            self.idle.eq(tail.idle),
        ]
        return m


def tflm_constants(noise: NoiseReduction) -> data.Const:
    """What the host writes beside the table of gains."""
    fields = ("smoothing_even", "smoothing_odd", "minimum_signal")
    chosen = {name: getattr(noise, name) for name in fields}
    layout = data.Layout.cast(TflmConstants)
    return layout.const({"noise": chosen})


def gain_rows(pcan: Pcan) -> list[int]:
    """Rows of the gain's table as integers."""
    names = ("constant", "linear", "quadratic")
    rows = (dict(zip(names, row, strict=True)) for row in pcan.gain_table.tolist())
    return [PARABOLA.const(row).as_bits() for row in rows]
