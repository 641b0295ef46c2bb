"""Sizes of the audio front end, fixed at elaboration."""

from dataclasses import dataclass

__all__ = ["AudioConfig"]

FFT_POINTS = tuple(1 << bits for bits in range(4, 11))
"""Powers of two for which the twiddle table has every angle."""

MAX_BANDS = 128

LEAST_WINDOW, MOST_WINDOW = 2, 1 << 16


@dataclass(frozen=True, kw_only=True)
class AudioConfig:
    """Maxima of what front ends may ask for; `models.audio.frontend.FrontEnd` has one's sizes.

    Parameters
    ----------
    fft_points : int
        Largest real transform.  A power of two, 16 to 1024.
    smallest_fft_points : int
        Smallest real transform.  Each size between the two is there; each costs a multiplexer input
        in the address path.
    bands : int
        Filters of the mel bank, 1 to 128.
    coefficients : int
        Results of the DCT, 1 to 128.
    window : int
        Features of the largest window of a network, 2 to 65,536.

    Raises
    ------
    ValueError
        For a value outside these limits.
    """

    fft_points: int = 1024
    smallest_fft_points: int = 256
    bands: int = 128
    coefficients: int = 128
    window: int = 2048

    def __post_init__(self):
        for name in ("fft_points", "smallest_fft_points"):
            if getattr(self, name) not in FFT_POINTS:
                raise ValueError(f"{name} must be one of {FFT_POINTS}, not {getattr(self, name)!r}")
        if self.smallest_fft_points > self.fft_points:
            raise ValueError(
                f"smallest_fft_points must be at most fft_points ({self.fft_points}), "
                f"not {self.smallest_fft_points}"
            )
        for name in ("bands", "coefficients"):
            if not 1 <= getattr(self, name) <= MAX_BANDS:
                raise ValueError(f"{name} must be in 1..{MAX_BANDS}, not {getattr(self, name)!r}")
        if not LEAST_WINDOW <= self.window <= MOST_WINDOW:
            raise ValueError(
                f"window must be in {LEAST_WINDOW}..{MOST_WINDOW}, not {self.window!r}"
            )
