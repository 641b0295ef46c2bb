"""Code generation for layers in strips: each turn is the layers' own code, on fewer rows."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hdl.config import ChipConfig
from mmsp.compiler.layers import Layer
from mmsp.compiler.layers.tiled import Strip, Tiled
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.placement import Placement

__all__ = ["lower_tiled"]

Lower = Callable[..., list[Job]]


def lower_tiled(
    tiled: Tiled, places: Mapping[str, Placement], lower: Lower, config: ChipConfig
) -> list[Job]:
    """Jobs of all turns.

    Parameters
    ----------
    tiled : Tiled
        The chain.
    places : mapping
        Where tensors lie, by name; those between two layers have as many rows as a strip.
    lower : callable
        `mmsp.compiler.lower.dispatch.lower`.
    config : ChipConfig
        The chip.
    """
    jobs = []
    for turn in tiled.strips:
        (name,) = tiled.inputs
        stored = Strip(0, places[name].pixels[0])
        for layer, index, strip in zip(tiled.chain, tiled.indices, turn, strict=True):
            last = layer is tiled.chain[-1]
            source = part(places[name], Strip(0, stored.rows))
            rows = strip if last else Strip(0, strip.rows)
            target = part(places[layer.output], rows)
            jobs.extend(lower(on_strip(layer, stored, strip), index, [source], target, config))
            name, stored = layer.output, strip
    return jobs


def part(place: Placement, rows: Strip) -> Placement:
    """Some rows of a placement."""
    return replace(place, row0=place.row0 + rows.first, pixels=(rows.rows, *place.pixels[1:]))


def on_strip(layer: Layer, stored: Strip, strip: Strip) -> Layer:
    """The layer that reads the ``stored`` rows of its input and computes those of ``strip``.

    Its first window begins ``padding`` rows above the first stored one, or below: then the padding
    is negative.
    """
    (top, bottom), sides = layer.padding
    above = top + stored.first - strip.first * layer.stride[0]
    return replace(layer, padding=((above, bottom), sides))
