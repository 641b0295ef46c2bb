"""Recordings and their features as pictures: in the page of a run, and as a page of their own."""

from collections.abc import Iterable, Mapping
from html import escape

import numpy as np

from mmsp.audio.targets import Features
from mmsp.html.page import make_page, section, tiles
from mmsp.html.tensors import heat, picture, profile

__all__ = ["audio_section", "features_page"]

FULL_SCALE = 1 << 15
MOST_COLUMNS = 960
"""Of a picture as wide as the page."""
MARKS = 4
"""Quarters of the time axis."""


def features_page(features: Features) -> str:
    """The page of ``mmsp features --report``."""
    frontend, recording = features.frontend, features.recording
    frames, values = features.values.shape
    said = "".join(f"<li>{escape(step)}</li>" for step in (*recording.steps, *features.notes))
    clipped = sum(int((features.values == end).sum()) for end in (-128, 127))
    head = (
        f'<header><h1>{escape(recording.name)}</h1><p class="muted">Features of front end '
        f"{escape(frontend.name)}, target {escape(features.target)}</p></header>"
    )
    facts = [
        (f"{recording.seconds:.6g} s", f"{len(recording.samples):,} samples of 16 bits"),
        (f"{frames:,}", f"frames of {values} values, one every {step_ms(features):g} ms"),
        (f"{features.values.min()} to {features.values.max()}", "int8 values"),
        (f"{clipped / features.values.size:.1%}", "at the ends of int8"),
        (f"{frontend.scale:.6g}", f"scale, zero point {frontend.zero_point}"),
    ]
    return make_page(
        f"{recording.name}: {frontend.name}",
        [head, tiles(facts), f'<ul class="muted">{said}</ul>',
         section("Features", [draw_features(features)])],
    )  # fmt: skip


def audio_section(audio: Mapping[str, Features]) -> Iterable[str]:
    """The section of a run's page: every input that came from a recording."""
    if not audio:
        return
    drawn = [
        f"<h3>{escape(features.recording.name)}, input {escape(name)}</h3>{draw_features(features)}"
        for name, features in audio.items()
    ]
    yield section("Audio", drawn)


def draw_features(features: Features) -> str:
    """The waveform over the map of the features: time to the right, bands upwards."""
    frontend, samples = features.frontend, features.recording.samples
    real = features.real.astype(float)
    frames, values = real.shape
    if frontend.coefficients:
        what = f"{values} coefficients of {frontend.bands} mel bands"
    else:
        what = f"{values} mel bands of {frontend.low_hz:g} to {frontend.high_hz:g} Hz"
    together = -(-frames // MOST_COLUMNS)
    starts = range(0, frames, together)
    shown = np.add.reduceat(real, starts) / np.diff([*starts, frames])[:, None]
    columns = "" if together == 1 else f", {together} to a column"
    peak = int(abs(samples.astype(int)).max())
    name = features.recording.name
    wave = picture(profile(samples / FULL_SCALE, MOST_COLUMNS), f"waveform of {name}")
    colours = picture(heat(shown.T[::-1]), f"features of {name}")
    return (
        f'<figure class="tensor audio"><div class="wave">{wave}</div>{colours}'
        f"{axis(features.recording.seconds)}<figcaption>Above, the samples; the largest is "
        f"{peak:,} of {FULL_SCALE:,}. Below, front end {escape(frontend.name)}: {frames:,} frames, "
        f"one every {step_ms(features):g} ms{columns}, of {what}, the first at the bottom; "
        f"{real.min():.4g} to {real.max():.4g}.</figcaption></figure>"
    )


def axis(seconds: float) -> str:
    """Times below a picture as wide as the page."""
    marks = (f"{seconds * index / MARKS:.4g} s" for index in range(MARKS + 1))
    return f'<div class="axis">{"".join(f"<span>{mark}</span>" for mark in marks)}</div>'


def step_ms(features: Features) -> float:
    """Milliseconds from one frame to the next."""
    return 1e3 * features.frontend.step / features.frontend.sample_rate
