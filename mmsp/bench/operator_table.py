"""The operator table of docs/engine.md: what runs, how it maps onto the engine, and its speed."""

from collections.abc import Callable

from hdl.config import FULL, ChipConfig
from mmsp.bench.operators import CASES, Case, Cost, cost_of
from mmsp.bench.recurrent_operators import STATEFUL_CASES

__all__ = ["ALL_CASES", "BEGIN", "END", "MAPPING", "operator_table"]

ALL_CASES = (*CASES, *STATEFUL_CASES)

BEGIN, END = "<!-- operators: begin -->", "<!-- operators: end -->"
"""Between these lines the page has the table."""

BINARY = "broadcast of either operand, constant operand, fused activation; int8, int16"
COPY = "int8, int16"
ELEMENTS = "window copies of whole words, a word a cycle; else the vector unit, an element a cycle"
FUSED = "NONE, RELU, RELU6, RELU_N1_TO_1"
NOTHING = "nothing, or as RESHAPE"
TABLE = "int8: table of 256 in the vector unit; int16: interpolation in the sigmoid table there"
WINDOW = f"kernel, stride, SAME/VALID/explicit padding; {FUSED}"

MAPPING: dict[str, tuple[str, str]] = {
    "ADD": (BINARY, "two passes of ones, three turns in the drain; else the vector unit"),
    "ASSIGN_VARIABLE": (COPY, "computed in the variable's place; else window copies"),
    "AVERAGE_POOL_2D": (WINDOW + "; int8, int16", "window feed with ones, reciprocal in the drain"),
    "CONCATENATION": ("any axis but the batch; " + COPY, ELEMENTS),
    "CONV_2D": (
        WINDOW + ", dilation, groups; int8, int16 activations; int8, int4, int2 weights",
        "dense feed; packed feed for up to 4 input channels",
    ),
    "DEPTHWISE_CONV_2D": (
        WINDOW + ", dilation, multiplier; int8, int16 activations",
        "window feed, 3x3 taps a pass; multiplier above 1: channels repeated first",
    ),
    "EXPAND_DIMS": (COPY, NOTHING),
    "FULLY_CONNECTED": (
        f"bias optional, per tensor or channel; {FUSED}; int8, int16 activations; int8, int4, int2 "
        "weights",
        "dense feed, one pixel: the weight port's 16 bytes a cycle",
    ),
    "GRU": (
        "ONNX, linear_before_reset 0 and 1, int16 state",
        "loop: two convolutions, vector unit between them",
    ),
    "LEAKY_RELU": ("alpha; int8, int16", "int8: drain, by sign; int16: vector unit"),
    "LOGISTIC": ("int8, int16", TABLE),
    "MAXIMUM": (BINARY, "vector unit"),
    "MAX_POOL_2D": (WINDOW + "; int8, int16", "window feed, a pass a tap; int16: vector unit"),
    "MEAN": ("any axes but the batch; int8, int16", "window of ones; channels: convolution"),
    "MINIMUM": (BINARY, "vector unit"),
    "MUL": (BINARY, "two passes of ones, product in the drain; else the vector unit"),
    "PAD": ("rows, columns, channels; int8", "window copy; channels: sparse convolution"),
    "PRELU": ("a slope a channel; int8, int16", "two passes (1, slope), drain by sign"),
    "QUANTIZE": ("int8 and int16 to either", "int8: drain; else the vector unit"),
    "READ_VARIABLE": (COPY, "read in place; else window copies"),
    "RELU": ("int8, int16", "drain"),
    "RELU6": ("int8, int16", "drain"),
    "RELU_N1_TO_1": ("int8, int16", "drain"),
    "RESHAPE": (COPY, "nothing where pixels stay whole; " + ELEMENTS),
    "RESIZE_NEAREST_NEIGHBOR": (
        "any size, align_corners or half_pixel_centers; " + COPY,
        "a window copy for each pair of phases",
    ),
    "SLICE": (COPY, ELEMENTS),
    "SOFTMAX": ("beta; int8", "serial path, three passes of a value a cycle"),
    "SPLIT": (COPY, ELEMENTS),
    "SPLIT_V": (COPY, ELEMENTS),
    "SQUEEZE": (COPY, NOTHING),
    "STRIDED_SLICE": ("begin, end and shrink masks, steps of either sign; " + COPY, ELEMENTS),
    "SUB": (BINARY, "two passes of ones, three turns in the drain; else the vector unit"),
    "SUM": ("any axes but the batch; int8, int16", "window of ones; channels: convolution"),
    "SVDF": (
        "rank, int8 or int16 state",
        "feature stage dense; time stage depthwise over the state, int16 weights in three digits",
    ),
    "TANH": ("int8, int16", TABLE),
    "TRANSPOSE": ("any order, batch first; " + COPY, "vector unit, an element a cycle"),
    "TRANSPOSE_CONV": (
        "any kernel and stride, SAME/VALID, bias optional; int8, int16 activations",
        "one dense convolution an output phase, no inserted zeros",
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        "int8 with int16 cell, cell clip, time major or not",
        "inputs of all steps at once; loop: one convolution of four gates, vector unit",
    ),
}
"""Attributes and types that are accepted, and what becomes of the operator."""

HEADING = (
    "| operator | accepted | how it runs | measured on | cycles | rate |\n|---|---|---|---|---|---|"
)


def operator_table(
    config: ChipConfig = FULL,
    *,
    measure: Callable[[Case, ChipConfig], Cost] = cost_of,
    on_case: Callable[[Case], None] = lambda _: None,
) -> str:
    """The table as Markdown: a line for each case, and for each operator without one."""
    lines = [HEADING]
    for op, (accepted, mapping) in MAPPING.items():
        cases = [case for case in ALL_CASES if case.op == op]
        if not cases:
            lines.append(f"| {op} | {accepted} | {mapping} | | | |")
        for index, case in enumerate(cases):
            on_case(case)
            cost = measure(case, config)
            first = f"{op} | {accepted} | {mapping}" if index == 0 else " | | "
            lines.append(f"| {first} | {case.what} | {cost.cycles:,} | {cost.rate} |")
    return "\n".join(lines)
