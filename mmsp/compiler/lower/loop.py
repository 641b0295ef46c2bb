"""Code generation for loops: the body's jobs once, and by how much their tensors move a turn."""

from collections.abc import Callable, Mapping
from typing import Any

from hdl.config import ChipConfig
from hdl.engine.descriptor import DESCRIPTOR_WORDS, Operation
from mmsp.compiler.layers import Loop
from mmsp.compiler.lower.jobs import Job, encode_payload
from mmsp.compiler.placement import Placement

__all__ = ["lower_loop"]

Lower = Callable[..., list[Job]]
Fields = dict[str, Any]

STEPS = {"a_step": "a", "b_step": "b", "out_step": "out"}
"""Fields that move a tensor, and the place that they move; a job has `out_base` instead of one."""


def lower_loop(
    loop: Loop, index: int, places: Mapping[str, Placement], lower: Lower, config: ChipConfig
) -> list[Job]:
    """Jobs of the body between LOOP and AGAIN; of one turn, the body's alone.

    Parameters
    ----------
    loop : Loop
        The layer.
    index : int
        Of the layer.
    places : mapping
        Where its tensors lie, by name.
    lower : callable
        `mmsp.compiler.lower.dispatch.lower`.
    config : ChipConfig
        The chip.
    """
    jobs = lower_body(loop, index, places, lower, config, turn=0)
    if loop.count == 1:
        return jobs
    later = lower_body(loop, index, places, lower, config, turn=1)
    for job, moved in zip(jobs, later, strict=True):
        if job.fields.get("stripes_last", 0):
            raise ValueError("a job within a loop has several stripes")
        job.fields |= steps(job.fields, moved.fields)
    words = sum(DESCRIPTOR_WORDS + len(encode_payload(job, config)) for job in jobs)
    bounds = {
        "turns_last": loop.count - 1,
        "keep": int(words + DESCRIPTOR_WORDS <= config.cache_words),
    }
    return [
        Job(layer=index, fields={"operation": Operation.LOOP, **bounds}),
        *jobs,
        Job(layer=index, fields={"operation": Operation.AGAIN, **bounds}),
    ]


def lower_body(
    loop: Loop, index: int, places: Mapping[str, Placement], lower: Lower, config: ChipConfig, *,
    turn: int,
) -> list[Job]:  # fmt: skip
    """Jobs of one turn."""

    def place(name: str) -> Placement:
        if name not in loop.views:
            return places[name]
        view = loop.views[name]
        left = view.column + turn * view.step
        return places[view.tensor].part(
            range(view.row, view.row + view.height), range(left, left + view.width)
        )

    jobs = []
    for layer in loop.body:
        jobs.extend(lower(layer, index, [*map(place, layer.inputs)], place(layer.output), config))
    return jobs


def steps(fields: Fields, moved: Fields) -> Fields:
    """Words from a turn's tensors to the next turn's.

    ``moved`` are the fields of the next turn's job, which must differ in nothing else.
    """
    result = {name: base(moved, place) - base(fields, place) for name, place in STEPS.items()}
    if any(step < 0 for step in result.values()) or at_base(fields) != at_base(moved):
        raise ValueError("the turns of a loop differ in more than where their tensors lie")
    return result


def base(fields: Fields, place: str) -> int:
    """First word of a tensor, 0 where the job has none."""
    if place == "out" and "out_base" in fields:
        return fields["out_base"]
    return fields.get(place, {}).get("base", 0)


def at_base(fields: Fields) -> Fields:
    """The same fields with all tensors at word 0."""
    places = {place: fields[place] | {"base": 0} for place in STEPS.values() if place in fields}
    return fields | places | {"out_base": 0}
