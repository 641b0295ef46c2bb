"""The features' hardware with its multipliers, and a front end's constants and tables for it."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import connect, flipped

from hdl.audio.config import AudioConfig
from hdl.audio.features import USERS, FeatureConstants, Features
from hdl.audio.mel import mel_row
from hdl.audio.multipliers import MultiplierBank
from models.audio.frontend import FrontEnd
from models.audio.tables import mel_table, spectrum_table, tail_table

__all__ = ["FeaturesAlone", "constants_of", "weight_rows"]


class FeaturesAlone(wiring.Component):
    """`Features` and a `MultiplierBank` of its own; members as `Features`, without the ports."""

    def __init__(self, config: AudioConfig):
        self.features = Features(config)
        members = self.features.signature.members
        super().__init__({name: members[name] for name in members if name != "multiply"})

    def elaborate(self, platform: Any) -> Module:
        """Connect both."""
        m = Module()
        m.submodules.features = features = self.features
        m.submodules.bank = bank = MultiplierBank(USERS)
        for user, port in zip(features.multiply, bank.users, strict=True):
            connect(m, user, port)
        for name in ("weights", "cosines", "frame", "i"):
            connect(m, flipped(getattr(self, name)), getattr(features, name))
        connect(m, features.o, flipped(self.o))
        m.d.comb += [features.constants.eq(self.constants), self.idle.eq(features.idle)]
        return m


def constants_of(frontend: FrontEnd, config: AudioConfig) -> data.Const:
    """What the host writes for ``frontend``."""
    mel = mel_table(frontend)
    spectrum, tail = spectrum_table(frontend, mel), tail_table(frontend)
    return FeatureConstants(config).const(
        {
            "root": spectrum.power == 1,
            "bands": frontend.bands,
            "coefficients": frontend.coefficients,
            "first_bin": mel.first,
            "last_bin": mel.last,
            "level": {
                "squared": spectrum.power - 1,
                "unit": spectrum.unit,
                "floor_mantissa": spectrum.floor_mantissa,
                "floor_shift": spectrum.floor_shift,
                "floor_level": spectrum.floor_level,
            },
            "first": tail.first,
            "quantisation": {
                "offset": tail.offset,
                "shift": tail.shift,
                "low": tail.low,
                "high": tail.high,
            },
        }
    )


def weight_rows(frontend: FrontEnd, config: AudioConfig) -> list[int]:
    """Rows of the weight table as integers."""
    mel = mel_table(frontend)
    columns = zip(mel.band.tolist(), mel.rising.tolist(), mel.falling.tolist(), strict=True)
    layout = mel_row(config)
    rows = (dict(zip(("band", "rising", "falling"), row, strict=True)) for row in columns)
    return [layout.const(row).as_bits() for row in rows]
