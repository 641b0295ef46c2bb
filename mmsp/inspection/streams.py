"""What each layer takes from the MRAM in one inference."""

from collections.abc import Sequence
from dataclasses import dataclass

from hdl.engine.descriptor import WAKE_UNIT, Operation
from mmsp.inspection.disassembly import DecodedJob

__all__ = ["LayerStream", "layer_streams"]


@dataclass(kw_only=True)
class LayerStream:
    """A layer's part of the program, in MRAM words.

    ``streamed`` counts repeats: weights that are fetched again for each stripe, and the body of a
    loop that the weight cache does not hold, for each turn.  ``mark`` is the largest of its jobs'
    wake marks, in words.
    """

    layer: str
    op: str
    jobs: int = 0
    words: int = 0
    streamed: int = 0
    mark: int = 0


def layer_streams(jobs: Sequence[DecodedJob]) -> list[LayerStream]:
    """Add up the jobs of each layer, in the order in which layers begin."""
    streams: dict[str, LayerStream] = {}
    repeats = 1
    for job in jobs:
        fields = job.fields
        stream = streams.setdefault(job.layer, LayerStream(layer=job.layer, op=job.op))
        stream.jobs += 1
        stream.words += job.words
        once = job.words + job.weight_words_read - job.weight_words
        stream.streamed += once * repeats
        stream.mark = max(stream.mark, fields["wake_mark"] * WAKE_UNIT)
        if fields["operation"] == Operation.LOOP:
            repeats = 1 if fields["keep"] else fields["turns_last"] + 1
        elif fields["operation"] == Operation.AGAIN:
            repeats = 1
    return list(streams.values())
