"""What became of frames, in lines for people and values for programs."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mmsp.imaging.development import Development
from mmsp.imaging.targets import Outputs
from models.image.bayer import PIXEL_MAX
from models.image.change import Change
from models.image.white_balance import UNITY_GAIN

__all__ = ["change_sentence", "frame_lines", "map_rows", "phase_means", "to_json"]

PHASES = ("R", "Gr", "Gb", "B")


def frame_lines(made: Development) -> Iterator[str]:
    """What `mmsp isp` prints: a line for each frame, and maps of changed blocks."""
    for index, (frame, outputs) in enumerate(zip(made.frames, made.outputs, strict=True)):
        width, height = frame.size
        means = ", ".join(
            f"{name} {mean:.0f}" for name, mean in zip(PHASES, phase_means(outputs), strict=True)
        )
        parts = [f"{frame.name}: {width} x {height}, mean {means} of {PIXEL_MAX}"]
        parts.append(f"{outputs.statistics.clipped / frame.pixels.size:.1%} clipped")
        if outputs.tensor is not None and made.registers.change is None:
            shape = " x ".join(str(size) for size in outputs.tensor.shape)
            parts.append(f"tensor {shape}")
        if outputs.jpeg is not None:
            parts.append(f"JPEG {len(outputs.jpeg):,} bytes")
        yield f"{', '.join(parts)}, {made.target}"
        if outputs.change is not None:
            yield change_sentence(outputs.change, index)
            yield from map_rows(outputs.change)


def change_sentence(change: Change, index: int) -> str:
    """What change detection says about a frame."""
    if not index:
        return "frame 1: the reference"
    count = f"{int(change.block_map.sum()):,} of {change.block_map.size:,} blocks have changed"
    return f"frame {index + 1}: {count}, {'wakes' if change.wake else 'does not wake'}"


def map_rows(change: Change) -> list[str]:
    """The map, ``#`` where a block has changed; nothing when none has."""
    if not change.block_map.any():
        return []
    return ["".join(".#"[block] for block in row) for row in change.block_map]


def phase_means(outputs: Outputs) -> list[float]:
    """Mean of each phase in front of the gains, without clipped pixels."""
    statistics = outputs.statistics
    pairs = zip(statistics.sums, statistics.counts, strict=True)
    return [total / count if count else 0.0 for total, count in pairs]


def to_json(made: Development) -> dict[str, Any]:
    """Plain values."""
    pixels, scaling = made.registers.pixels, made.registers.scaling
    return {
        "target": made.target,
        "pattern": pixels.order,
        "black_levels": list(pixels.black_levels),
        "bad_pixel_threshold": pixels.bad_pixel_threshold,
        "bad_pixel_rank": pixels.bad_pixel_rank,
        "gains": [gain / UNITY_GAIN for gain in pixels.gains],
        "matrix": (np.array(pixels.matrix) / UNITY_GAIN).tolist(),
        "tensor": scaling and {
            "crop": [scaling.crop.left, scaling.crop.top, scaling.crop.width, scaling.crop.height],
            "width": scaling.width,
            "height": scaling.height,
            "channels": 1 if scaling.grey else 3,
            "multiplier": scaling.tensor.multiplier,
            "offset": scaling.tensor.offset,
        },
        "notes": list(made.notes),
        "frames": [
            frame_to_json(made, index) for index in range(len(made.frames))
        ],
        "bit_exact": {
            "against": [] if made.mismatches is None else ["golden"],
            "mismatches": made.mismatches,
        },
    }  # fmt: skip


def frame_to_json(made: Development, index: int) -> dict[str, Any]:
    """One frame."""
    frame, outputs = made.frames[index], made.outputs[index]
    statistics, change = outputs.statistics, outputs.change
    return {
        "name": frame.name,
        "width": frame.size[0],
        "height": frame.size[1],
        "bits": frame.raw_bits,
        "steps": list(frame.steps),
        "statistics": {
            "sums": list(statistics.sums),
            "counts": list(statistics.counts),
            "histogram": list(statistics.histogram),
            "clipped": statistics.clipped,
        },
        "jpeg_bytes": None if outputs.jpeg is None else len(outputs.jpeg),
        "change": None if change is None else {
            "changed": int(change.block_map.sum()),
            "blocks": change.block_map.size,
            "wake": change.wake,
            "bounding_box": change.bounding_box(),
            "map": ["".join(".#"[block] for block in row) for row in change.block_map],
        },
    }  # fmt: skip
