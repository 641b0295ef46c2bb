"""The builtin options of .tflite operators, read and written by one table.

`OPTIONS` says for every operator which flatbuffer table holds its options and which of its members
make up which attribute of `mmsp.graph.Node`.  An operator that is not listed has no attributes.
"""

import tflite

from mmsp.importers.option_fields import EnumField, Field, Options, TextField, VectorField

__all__ = ["OPTIONS", "explicit_padding", "same_padding"]

Pairs = tuple[tuple[int, int], tuple[int, int]]

ACTIVATION = EnumField("activation", "FusedActivationFunction", tflite.ActivationFunctionType)
AXIS = Field("axis", ("Axis",))
DILATION = Field("dilation", ("DilationHFactor", "DilationWFactor"))
HYBRID = Field("asymmetric_quantize_inputs", ("AsymmetricQuantizeInputs",), bool)
KEEP_DIMS = Field("keep_dims", ("KeepDims",), bool)
NUM_SPLITS = Field("num_splits", ("NumSplits",), minimum=1)
PADDING = EnumField("padding", "Padding", tflite.Padding)
STRIDE = Field("stride", ("StrideH", "StrideW"))
POOL = Options(
    "Pool2DOptions", (PADDING, STRIDE, Field("kernel", ("FilterHeight", "FilterWidth")), ACTIVATION)
)

OPTIONS: dict[str, Options] = {
    "ADD": Options("AddOptions", (ACTIVATION,)),
    "ASSIGN_VARIABLE": Options("AssignVariableOptions"),
    "AVERAGE_POOL_2D": POOL,
    "CALL_ONCE": Options(
        "CallOnceOptions", (Field("init_subgraph_index", ("InitSubgraphIndex",), minimum=1),)
    ),
    "CONCATENATION": Options("ConcatenationOptions", (AXIS, ACTIVATION)),
    "CONV_2D": Options("Conv2DOptions", (PADDING, STRIDE, DILATION, ACTIVATION)),
    "DEPTHWISE_CONV_2D": Options(
        "DepthwiseConv2DOptions",
        (PADDING, STRIDE, DILATION, Field("depth_multiplier", ("DepthMultiplier",)), ACTIVATION),
    ),
    "DEQUANTIZE": Options("DequantizeOptions"),
    "EXPAND_DIMS": Options("ExpandDimsOptions"),
    "FULLY_CONNECTED": Options(
        "FullyConnectedOptions",
        (
            ACTIVATION,
            EnumField("weights_format", "WeightsFormat", tflite.FullyConnectedOptionsWeightsFormat),
            Field("keep_dimensions", ("KeepNumDims",), bool),
        ),
    ),
    "LEAKY_RELU": Options("LeakyReluOptions", (Field("alpha", ("Alpha",), float),)),
    "LOGISTIC": Options(None),
    "MAXIMUM": Options("MaximumMinimumOptions"),
    "MAX_POOL_2D": POOL,
    "MEAN": Options("ReducerOptions", (KEEP_DIMS,)),
    "MINIMUM": Options("MaximumMinimumOptions"),
    "MUL": Options("MulOptions", (ACTIVATION,)),
    "PACK": Options("PackOptions", (Field("values_count", ("ValuesCount",), minimum=1), AXIS)),
    "PAD": Options("PadOptions"),
    "PADV2": Options("PadV2Options"),
    "PRELU": Options(None),
    "QUANTIZE": Options("QuantizeOptions"),
    "READ_VARIABLE": Options("ReadVariableOptions"),
    "RELU": Options(None),
    "RELU6": Options(None),
    "RELU_N1_TO_1": Options(None),
    "RESHAPE": Options("ReshapeOptions", (VectorField("new_shape", "NewShape"),), optional=True),
    "RESIZE_NEAREST_NEIGHBOR": Options(
        "ResizeNearestNeighborOptions",
        (
            Field("align_corners", ("AlignCorners",), bool),
            Field("half_pixel_centers", ("HalfPixelCenters",), bool),
        ),
    ),
    "SLICE": Options("SliceOptions"),
    "SOFTMAX": Options("SoftmaxOptions", (Field("beta", ("Beta",), float),)),
    "SPLIT": Options("SplitOptions", (NUM_SPLITS,)),
    "SPLIT_V": Options("SplitVOptions", (NUM_SPLITS,)),
    "SQUEEZE": Options("SqueezeOptions", (VectorField("squeeze_dims", "SqueezeDims"),), True),
    "STRIDED_SLICE": Options(
        "StridedSliceOptions",
        (
            Field("begin_mask", ("BeginMask",), minimum=0),
            Field("end_mask", ("EndMask",), minimum=0),
            Field("ellipsis_mask", ("EllipsisMask",), minimum=0),
            Field("new_axis_mask", ("NewAxisMask",), minimum=0),
            Field("shrink_axis_mask", ("ShrinkAxisMask",), minimum=0),
            Field("offset", ("Offset",), bool),
        ),
    ),
    "SUB": Options("SubOptions", (ACTIVATION,)),
    "SUM": Options("ReducerOptions", (KEEP_DIMS,)),
    "SVDF": Options("SVDFOptions", (Field("rank", ("Rank",), minimum=1), ACTIVATION, HYBRID)),
    "TANH": Options(None),
    "TRANSPOSE": Options("TransposeOptions"),
    "TRANSPOSE_CONV": Options("TransposeConvOptions", (PADDING, STRIDE, ACTIVATION)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Options(
        "UnidirectionalSequenceLSTMOptions",
        (
            ACTIVATION,
            Field("cell_clip", ("CellClip",), float, minimum=0),
            Field("proj_clip", ("ProjClip",), float, minimum=0),
            Field("time_major", ("TimeMajor",), bool),
            HYBRID,
            Field("diagonal_recurrent_tensors", ("DiagonalRecurrentTensors",), bool),
        ),
        intermediates=True,
    ),
    "UNPACK": Options("UnpackOptions", (Field("num", ("Num",), minimum=0), AXIS)),
    "VAR_HANDLE": Options(
        "VarHandleOptions",
        (TextField("container", "Container"), TextField("shared_name", "SharedName")),
    ),
}


def same_padding(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Pairs:
    """Padding of a window that slides over ``size`` pixels with padding SAME.

    As TFLite's ``ComputePaddingHeightWidth``: what is odd goes to the bottom and the right.
    """

    def one(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
        extent = (kernel - 1) * dilation + 1
        steps = (size + stride - 1) // stride
        total = max((steps - 1) * stride + extent - size, 0)
        return total // 2, total - total // 2

    vertical, horizontal = map(one, size, kernel, stride, dilation)
    return vertical, horizontal


def explicit_padding(
    scheme: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Pairs:
    """Padding ``((top, bottom), (left, right))`` for scheme ``SAME`` or ``VALID``."""
    if scheme == "VALID":
        return (0, 0), (0, 0)
    return same_padding(size, kernel, stride, dilation)
