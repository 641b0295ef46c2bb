"""What the host writes into the audio front end's hardware: constants and tables."""

from collections.abc import Sequence

from hdl.audio.config import AudioConfig
from hdl.audio.frontend import FrontEndConstants
from hdl.audio.mel import mel_row
from models.audio.frontend import FrontEnd
from models.audio.noise_reduction import NoiseReduction
from models.audio.pcan import Pcan
from models.audio.tables import mel_table, spectrum_table, tail_table, window_shift, window_table
from models.audio.tflm_filterbank import filter_bank
from models.audio.tflm_window import WINDOW_BITS
from models.audio.tflm_window import window_table as tflm_window_table
from models.fixedpoint import IntArray
from verif.tflm_design import gain_rows, tflm_constants

__all__ = ["constants_of", "table_rows"]


def constants_of(frontend: FrontEnd, config: AudioConfig, peak: int = 0) -> int:
    """Constants of ``frontend`` as one integer; ``peak`` is 0 for that of the previous samples."""
    tflm = frontend.tail == "tflm"
    frames = {
        "frame": frontend.frame,
        "step": frontend.step,
        "points": frontend.fft,
        "emphasis": frontend.pre_emphasis,
        "shift": WINDOW_BITS if tflm else window_shift(frontend),
        "round": not tflm,
        "auto_scale": tflm,
        "centred": frontend.centred,
        "use_peak": frontend.normalisation == "peak",
        "peak": peak,
        "clip": frontend.clip,
    }
    features = {"bands": frontend.bands, "tflm": tflm}
    features |= tflm_fields(frontend) if tflm else log_fields(frontend)
    layout = FrontEndConstants(config)
    size = frontend.fft.bit_length() - 1
    return layout.const({"size": size, "frames": frames, "features": features}).as_bits()


def tflm_fields(frontend: FrontEnd) -> dict:
    """Fields of `hdl.audio.features.FeatureConstants` for the tail of TFLM."""
    _, rising, falling = mel_columns(frontend)
    used = [bin_ for bin_, weights in enumerate(zip(rising, falling, strict=True)) if any(weights)]
    return {
        "first_bin": used[0],
        "last_bin": used[-1],
        "tflm_tail": tflm_constants(NoiseReduction()),
    }


def log_fields(frontend: FrontEnd) -> dict:
    """Fields of `hdl.audio.features.FeatureConstants` for levels, DCT and quantiser."""
    mel = mel_table(frontend)
    spectrum, tail = spectrum_table(frontend, mel), tail_table(frontend)
    return {
        "root": spectrum.power == 1,
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


def mel_columns(frontend: FrontEnd) -> tuple[list[int], list[int], list[int]]:
    """Band, rising and falling weight of each bin."""
    if frontend.tail == "tflm":
        ends = frontend.low_hz, frontend.high_hz
        bank = filter_bank(frontend.bands, frontend.fft, frontend.sample_rate, *ends)
        columns: Sequence[IntArray] = (bank.segment, bank.rising, bank.falling)
    else:
        mel = mel_table(frontend)
        columns = (mel.band, mel.rising, mel.falling)
    band, rising, falling = (column.tolist() for column in columns)
    return band, rising, falling


def table_rows(frontend: FrontEnd, config: AudioConfig) -> dict[str, list[int]]:
    """Rows of each table by the name of its port; only those that ``frontend`` uses."""
    layout = mel_row(config)
    rows = (
        dict(zip(("band", "rising", "falling"), row, strict=True))
        for row in zip(*mel_columns(frontend), strict=True)
    )
    tables = {"weights": [layout.const(row).as_bits() for row in rows]}
    if frontend.tail == "tflm":
        window = tflm_window_table(frontend.frame)
        return tables | {"window": window.tolist(), "gains": gain_rows(Pcan())}
    cosines = [value & 0x3FFFF for value in tail_table(frontend).cosines.tolist()]
    return tables | {"window": window_table(frontend).tolist(), "cosines": cosines}
