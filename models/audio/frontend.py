"""Description of an audio front end: what happens between samples and a network's features."""

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = [
    "FFT_POINTS",
    "MAX_BANDS",
    "PRESETS",
    "Arithmetic",
    "DctNorm",
    "FloorMode",
    "FrontEnd",
    "Logarithm",
    "MelNorm",
    "MelScale",
    "Normalisation",
    "Spectrum",
    "Tail",
    "Window",
]

Window = Literal["hann", "hann_symmetric", "hamming", "hamming_symmetric", "rectangular"]
Normalisation = Literal["full_scale", "peak"]
Arithmetic = Literal["block_floating", "kiss"]
Spectrum = Literal["magnitude", "power"]
MelScale = Literal["htk", "slaney"]
MelNorm = Literal["none", "slaney"]
FloorMode = Literal["add", "max"]
Logarithm = Literal["ln", "db"]
DctNorm = Literal["htk", "ortho"]
Tail = Literal["log", "tflm"]

FFT_POINTS = (256, 512, 1024)
MAX_BANDS = 128
MAX_PRE_EMPHASIS = 8
MIN_CLIP = 1152
"""Samples that the hardware keeps: with fewer, a peak could be two windows old."""

MAX_OFFSET = 4096
"""Steps of the tensor's scale."""

CHOICES = {
    "window": get_args(Window),
    "normalisation": get_args(Normalisation),
    "arithmetic": get_args(Arithmetic),
    "spectrum": get_args(Spectrum),
    "mel_scale": get_args(MelScale),
    "mel_norm": get_args(MelNorm),
    "floor_mode": get_args(FloorMode),
    "logarithm": get_args(Logarithm),
    "dct_norm": get_args(DctNorm),
    "tail": get_args(Tail),
    "fft": FFT_POINTS,
}


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """One front end.  Every field has the name that a TOML description gives it.

    With samples ``x`` of -1 to 1 (int16 / 32768, or int16 / peak), features are::

        y      = x[n] - (1 - 2**-pre_emphasis) * x[n - 1]            (pre_emphasis 0: y = x)
        X      = rfft(window * y[frame], fft)                        zeros behind the frame
        s      = |X| or |X|**2 * spectrum_gain
        m      = mel filters * s
        l      = ln(m + floor) or ln(max(m, floor)), or 10 * log10 of it
        v      = dct(l)[:coefficients] or l                          (coefficients 0: no DCT)
        q      = round(clip((v + offset) * gain) / scale) + zero_point       int8, saturated

    Parameters
    ----------
    name : str
        What messages call it.
    sample_rate : int
        Hz, 8000 to 48000.  The chip's microphone delivers 16000.
    frame, step : int
        Samples of a frame, and from the begin of one to the next; ``step <= frame <= fft``.
    fft : int
        Points of the real FFT: 256, 512 or 1024.
    window : str
        ``hann`` and ``hamming`` are periodic (denominator ``frame``), the ``_symmetric`` ones have
        denominator ``frame - 1``; or ``rectangular``.
    pre_emphasis : int
        0 (none), or 1 to 8: the coefficient is ``1 - 2**-pre_emphasis``.
    centred : bool
        ``fft // 2`` zeros stand before and behind the recording, as in librosa.
    normalisation : str
        ``full_scale`` divides samples by 32768, ``peak`` by the largest sample of the recording.
    clip : int
        Samples of what the network sees at once, at least 1152.  Streaming, ``peak`` is that of the
        previous so many samples.
    arithmetic : str
        Of the FFT: ``block_floating``, or ``kiss`` (int16, kissfft's), which ``tail = "tflm"`` has.
    spectrum : str
        ``magnitude`` or ``power``.
    spectrum_gain : float
        Constant factor of the spectrum.
    bands : int
        Mel filters, 20 to 128.
    low_hz, high_hz : float
        Lower edge of the first filter and upper edge of the last, ``high_hz <= sample_rate / 2``.
    mel_scale : str
        ``htk``: 1127 ln(1 + f / 700), triangles over mel.  ``slaney``: linear below 1 kHz,
        logarithmic above, triangles over Hz, as in librosa.
    mel_norm : str
        ``none``: filters peak at 1; ``slaney``: at 2 / (width in Hz).
    floor : float
        Above 0, at most 1; ``floor_mode`` is ``add`` or ``max``.
    logarithm : str
        ``ln``, or ``db``, 10 log10.
    offset, gain : float
        Affine map of the logarithm's or DCT's values.
    clip_low, clip_high : float or None
        Bounds behind it.
    coefficients : int
        Outputs of the DCT-II, 0 for none; at most ``bands``.
    dct_norm : str
        ``htk``: every row has the factor sqrt(2 / bands); ``ortho``: row 0 has sqrt(1 / bands).
    scale, zero_point : float, int
        Of the int8 features.  ``scale / gain`` is 2**-13 to 2**10, and ``offset`` at most 4096
        steps: what the quantiser's words hold.
    tail : str
        What follows the mel filters: ``log`` is the above; ``tflm`` is that of TFLM's
        micro_frontend (noise reduction, PCAN, logarithm), which fixes most other fields' meaning,
        see docs/audio.md.
    """

    name: str
    sample_rate: int = 16_000
    frame: int
    step: int
    fft: int
    window: Window = "hann"
    pre_emphasis: int = 0
    centred: bool = False
    normalisation: Normalisation = "full_scale"
    clip: int = 16_000
    arithmetic: Arithmetic = "block_floating"
    spectrum: Spectrum = "magnitude"
    spectrum_gain: float = 1.0
    bands: int = 40
    low_hz: float
    high_hz: float
    mel_scale: MelScale = "htk"
    mel_norm: MelNorm = "none"
    floor: float = 1e-6
    floor_mode: FloorMode = "add"
    logarithm: Logarithm = "ln"
    offset: float = 0.0
    gain: float = 1.0
    clip_low: float | None = None
    clip_high: float | None = None
    coefficients: int = 0
    dct_norm: DctNorm = "htk"
    scale: float
    zero_point: int
    tail: Tail = "log"

    def __post_init__(self) -> None:
        """Refuse what the hardware cannot do, naming field, value and what is allowed."""
        for field, allowed in CHOICES.items():
            value = getattr(self, field)
            self.check(field, value in allowed, f"one of {', '.join(map(str, allowed))}")
        self.check_number("sample_rate", 8000, 48_000)
        self.check_number("frame", 16, self.fft)
        self.check_number("step", 1, self.frame)
        self.check_number("pre_emphasis", 0, MAX_PRE_EMPHASIS)
        self.check("centred", isinstance(self.centred, bool), "true or false")
        self.check_number("clip", MIN_CLIP, (1 << 24) - 1)
        self.check_number("bands", 20, MAX_BANDS)
        self.check_real("low_hz", 0.0, self.sample_rate / 2)
        self.check_real("high_hz", self.low_hz, self.sample_rate / 2)
        self.check("high_hz", self.high_hz > self.low_hz, f"above low_hz = {self.low_hz:g}")
        self.check_real("floor", 1e-60, 1.0)
        self.check_real("spectrum_gain", 2.0**-20, 2.0**20)
        self.check_real("offset", -1e3, 1e3)
        self.check_real("gain", 2.0**-20, 2.0**20)
        self.check_real("scale", 2.0**-20, 2.0**20)
        self.check_real("scale", self.gain * 2.0**-13, self.gain * 2.0**10)
        reach = MAX_OFFSET * self.scale / self.gain
        self.check_real("offset", -reach, reach)
        for field in ("clip_low", "clip_high"):
            if getattr(self, field) is not None:
                self.check_real(field, -1e6, 1e6)
        if self.clip_low is not None and self.clip_high is not None:
            limit = f"above clip_low = {self.clip_low:g}"
            self.check("clip_high", self.clip_high > self.clip_low, limit)
        self.check_number("coefficients", 0, self.bands)
        self.check_number("zero_point", -128, 127)
        if self.tail == "tflm":
            self.check("arithmetic", self.arithmetic == "kiss", 'kiss, as tail is "tflm"')
        else:
            wanted = 'block_floating, as tail is "log"'
            self.check("arithmetic", self.arithmetic == "block_floating", wanted)

    @property
    def values(self) -> int:
        """Features of one frame."""
        return self.coefficients or self.bands

    def frame_count(self, samples: int) -> int:
        """Frames of a recording of ``samples`` samples; 0 if it is shorter than one frame."""
        padded = samples + (self.fft // 2 * 2 if self.centred else 0)
        return max(0, (padded - self.frame) // self.step + 1)

    def check(self, field: str, condition: bool, allowed: str) -> None:
        """Raise ``ValueError`` with one sentence unless ``condition`` holds."""
        if not condition:
            message = f"{field} of the front end {self.name} must be {allowed}"
            raise ValueError(f"{message}, not {getattr(self, field)!r}")

    def check_number(self, field: str, low: int, high: int) -> None:
        """Raise ``ValueError`` unless the field is an integer of ``low`` to ``high``."""
        value = getattr(self, field)
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        self.check(field, fits, f"an integer of {low} to {high}")

    def check_real(self, field: str, low: float, high: float) -> None:
        """Raise ``ValueError`` unless the field is a number of ``low`` to ``high``."""
        value = getattr(self, field)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        self.check(field, number and low <= value <= high, f"a number of {low:g} to {high:g}")


PRESETS: dict[str, FrontEnd] = {
    preset.name: preset
    for preset in (
        FrontEnd(
            name="mlperf_kws",
            frame=480,
            step=320,
            fft=512,
            normalisation="peak",
            low_hz=20.0,
            high_hz=4000.0,
            coefficients=10,
            scale=0.584703,
            zero_point=83,
        ),
        FrontEnd(
            name="mlperf_sww",
            frame=1024,
            step=512,
            fft=1024,
            window="hamming_symmetric",
            pre_emphasis=5,
            spectrum="power",
            spectrum_gain=1 / 1024,
            low_hz=0.0,
            high_hz=8000.0,
            floor=1e-30,
            floor_mode="max",
            logarithm="db",
            offset=52.0,
            gain=1 / 64,
            clip_low=0.0,
            clip_high=1.0,
            scale=0.00370104,
            zero_point=-128,
        ),
        FrontEnd(
            name="mlperf_ad",
            frame=1024,
            step=512,
            fft=1024,
            centred=True,
            spectrum="power",
            bands=128,
            low_hz=0.0,
            high_hz=8000.0,
            mel_scale="slaney",
            mel_norm="slaney",
            floor=2.2e-16,
            logarithm="db",
            scale=0.391015,
            zero_point=89,
        ),
        FrontEnd(
            name="tflm_micro",
            frame=480,
            step=320,
            fft=512,
            arithmetic="kiss",
            spectrum="power",
            low_hz=125.0,
            high_hz=7500.0,
            scale=0.101960785,
            zero_point=-128,
            tail="tflm",
        ),
        FrontEnd(
            name="tf_mfcc",
            frame=640,
            step=320,
            fft=1024,
            low_hz=20.0,
            high_hz=4000.0,
            floor=1e-12,
            floor_mode="max",
            coefficients=10,
            scale=0.5,
            zero_point=0,
        ),
    )
}
"""Public front ends by name, docs/audio.md."""
