"""What a descriptor cannot hold is refused, never truncated."""

from enum import Enum

import pytest
from amaranth.hdl import Shape

from hdl.engine.descriptor import Descriptor, Feed, Operation
from mmsp.compiler.lower.jobs import decode_descriptor, encode_descriptor
from mmsp.errors import InputError

NUMBERS = {
    name: Shape.cast(field.shape)
    for name, field in Descriptor.as_shape()
    if name not in ("a", "b") and not isinstance(field.shape, type(Feed))
}
"""Fields that hold a number, by name."""


def limits(shape):
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    return low, low + (1 << shape.width) - 1


@pytest.mark.parametrize("name", NUMBERS)
def test_number_round_trips_or_is_refused(name):
    low, high = limits(NUMBERS[name])
    for value in (low, high):
        words = encode_descriptor({"operation": Operation.END, name: value})
        assert getattr(decode_descriptor(words), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(InputError, match=f"^{name} must be in {low}..{high}, not {value}$"):
            encode_descriptor({"operation": Operation.END, name: value})


def test_every_field_is_a_number_or_known():
    others = {name for name, _ in Descriptor.as_shape()} - set(NUMBERS)
    assert others == {"a", "b", "operation", "feed", "reduction", "drain", "weight_format"}
    assert issubclass(Feed, Enum)


def test_operand_is_checked():
    with pytest.raises(InputError, match=r"^b\.row_words must be in 0\.\.16383, not 16384$"):
        encode_descriptor({"operation": Operation.END, "b": {"row_words": 1 << 14}})


def test_softmax_is_as_long_as_the_unit_counts():
    encode_descriptor({"operation": Operation.SOFTMAX, "inner_last": 4094})
    with pytest.raises(InputError, match=r"^softmax takes 1\.\.4095 channels, not 4096$"):
        encode_descriptor({"operation": Operation.SOFTMAX, "inner_last": 4095})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"out_h_last": 4000, "stride_h": 3}, "row 12000"),
        ({"out_w_last": 4000, "stride_w": 3, "pad_w": 10}, "column 11990"),
        ({"rows_passes_last": 200, "row_step": 100}, "row 20000"),
        ({"cols_passes_last": 200, "col_step": 100, "pad_w": -5}, "column 20005"),
    ],
)
def test_coordinates_do_not_wrap(fields, sentence):
    with pytest.raises(InputError, match=f"^the last window would end at input {sentence}, "):
        encode_descriptor({"operation": Operation.JOB, **fields})


def test_packed_kernel_may_be_tall_but_not_too_tall():
    fields = {"operation": Operation.JOB, "feed": Feed.PACKED, "packed_lanes": 12, "segment": 3}
    encode_descriptor(fields | {"inner_last": 1000})
    with pytest.raises(InputError, match=r"^the last window would end at input row 16384, "):
        encode_descriptor(fields | {"inner_last": 4095})
