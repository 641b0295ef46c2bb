"""Layers: what legalisation makes of a graph, integers only.

A layer names its input and output tensors and holds every integer that its arithmetic needs, so
that the golden executor and the code generator read the same numbers.  Pixels are NHWC with N = 1;
shapes here leave N away: ``(H, W, C)``.
"""

from mmsp.compiler.layers.base import Layer, Padding, Requantization, Unary
from mmsp.compiler.layers.elementwise import Add, Binary, Curve, Multiply, Plain, Scale, Table
from mmsp.compiler.layers.linear import Conv, TransposeConv
from mmsp.compiler.layers.movement import (
    Concat,
    Constant,
    Copy,
    Repeat,
    Reshape,
    Resize,
    Slice,
    Transpose,
)
from mmsp.compiler.layers.recurrent import Loop, View
from mmsp.compiler.layers.tiled import Strip, Tiled
from mmsp.compiler.layers.window import Mean, Pad, Pool, Softmax

__all__ = [
    "Add",
    "Binary",
    "Concat",
    "Constant",
    "Conv",
    "Copy",
    "Curve",
    "Layer",
    "Loop",
    "Mean",
    "Multiply",
    "Pad",
    "Padding",
    "Plain",
    "Pool",
    "Repeat",
    "Requantization",
    "Reshape",
    "Resize",
    "Scale",
    "Slice",
    "Softmax",
    "Strip",
    "Table",
    "Tiled",
    "Transpose",
    "TransposeConv",
    "Unary",
    "View",
]
