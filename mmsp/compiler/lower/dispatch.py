"""Which function makes the jobs of which layer."""

from collections.abc import Callable, Sequence

from hdl.config import ChipConfig
from mmsp.compiler.layers import (
    Add,
    Concat,
    Constant,
    Conv,
    Copy,
    Curve,
    Layer,
    Mean,
    Multiply,
    Pad,
    Plain,
    Pool,
    Repeat,
    Reshape,
    Resize,
    Scale,
    Slice,
    Softmax,
    Table,
    Transpose,
    TransposeConv,
)
from mmsp.compiler.lower.conv import lower_conv
from mmsp.compiler.lower.elementwise import (
    lower_add,
    lower_curve,
    lower_multiply,
    lower_plain,
    lower_scale,
    lower_table,
)
from mmsp.compiler.lower.jobs import Job
from mmsp.compiler.lower.movement import (
    lower_concat,
    lower_constant,
    lower_copy,
    lower_mean,
    lower_reshape,
    lower_resize,
    lower_slice,
    lower_transpose,
)
from mmsp.compiler.lower.transpose_conv import lower_transpose_conv
from mmsp.compiler.lower.window import lower_pad, lower_pool, lower_repeat, lower_softmax
from mmsp.compiler.placement import Placement
from mmsp.errors import InputError

__all__ = ["lower"]

LOWERINGS: dict[type, Callable[..., list[Job]]] = {
    Add: lower_add,
    Concat: lower_concat,
    Constant: lower_constant,
    Conv: lower_conv,
    Copy: lower_copy,
    Curve: lower_curve,
    Mean: lower_mean,
    Multiply: lower_multiply,
    Pad: lower_pad,
    Plain: lower_plain,
    Pool: lower_pool,
    Repeat: lower_repeat,
    Reshape: lower_reshape,
    Resize: lower_resize,
    Scale: lower_scale,
    Slice: lower_slice,
    Softmax: lower_softmax,
    Table: lower_table,
    Transpose: lower_transpose,
    TransposeConv: lower_transpose_conv,
}


def lower(
    layer: Layer, index: int, sources: Sequence[Placement], target: Placement, config: ChipConfig
) -> list[Job]:
    """Jobs of one layer.

    Raises
    ------
    InputError
        When the layer exceeds what the engine can count.
    """
    try:
        return LOWERINGS[type(layer)](layer, index, sources, target, config)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"node {layer.name!r} ({layer.op}) is too large: {error}") from None
