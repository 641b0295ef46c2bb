"""gemmlowp's and TFLite's fixed-point functions in scalar form, as an independent reference.

Transcribed from the C++ definitions one value at a time, with C's truncating division and wrapping
registers; slow on purpose.
"""


def to_int32(value):
    """What C's conversion to a 32-bit register keeps."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def divide_like_c(a, b):
    """Integer division that truncates towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def gemmlowp_high_mul(a, b):
    """gemmlowp ``SaturatingRoundingDoublingHighMul(std::int32_t, std::int32_t)``."""
    if a == b == -(1 << 31):
        return (1 << 31) - 1
    product = a * b
    nudge = (1 << 30) if product >= 0 else 1 - (1 << 30)
    return divide_like_c(product + nudge, 1 << 31)


def gemmlowp_divide_by_pot(x, exponent):
    """gemmlowp ``RoundingDivideByPOT``."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if (x & mask) > threshold else 0)


def tflite_multiply(x, multiplier, shift):
    """TFLite ``MultiplyByQuantizedMultiplier`` with double rounding."""
    left_shift, right_shift = max(shift, 0), max(-shift, 0)
    product = gemmlowp_high_mul(to_int32(x << left_shift), multiplier)
    return gemmlowp_divide_by_pot(product, right_shift)


def tflite_multiply_wide(x, multiplier, shift):
    """TFLite ``MultiplyByQuantizedMultiplier(int64_t, ...)``."""
    reduced = (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    total_shift = 15 - shift
    return to_int32((x * reduced + (1 << (total_shift - 1))) >> total_shift)


def saturating_shift_left(x, exponent):
    """gemmlowp ``SaturatingRoundingMultiplyByPOT`` for a positive exponent."""
    threshold = (1 << (31 - exponent)) - 1
    if x > threshold:
        return (1 << 31) - 1
    if x < -threshold:
        return -(1 << 31)
    return x << exponent


def gemmlowp_exp(a):
    """gemmlowp ``exp_on_negative_values`` for ``FixedPoint<int32, 5>``, raw to raw."""
    if a == 0:
        return (1 << 31) - 1
    quarter = 1 << 24
    fine = (a & (quarter - 1)) - quarter
    remainder = fine - a
    x = saturating_shift_left(fine, 5) + (1 << 28)
    x2 = gemmlowp_high_mul(x, x)
    x3 = gemmlowp_high_mul(x2, x)
    x4 = gemmlowp_high_mul(x2, x2)
    third = gemmlowp_high_mul(gemmlowp_divide_by_pot(x4, 2) + x3, 715827883)
    higher = gemmlowp_divide_by_pot(third + x2, 1)
    result = 1895147668 + gemmlowp_high_mul(1895147668, x + higher)
    factors = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242]
    for exponent, factor in enumerate(factors, start=-2):
        if remainder & (1 << (26 + exponent)):
            result = gemmlowp_high_mul(result, factor)
    return result


def tflite_reciprocal(total):
    """TFLite ``GetReciprocal`` with 12 integer digits, and gemmlowp's Newton-Raphson."""
    headroom_plus_one = 32 - total.bit_length()
    fraction = (total << headroom_plus_one) - (1 << 31)
    sum_with_one = fraction + (1 << 31) - 1
    half_denominator = divide_like_c(sum_with_one + 1, 2)
    x = 1515870810 + gemmlowp_high_mul(half_denominator, -1010580540)
    for _ in range(3):
        error = (1 << 29) - gemmlowp_high_mul(half_denominator, x)
        x += saturating_shift_left(gemmlowp_high_mul(x, error), 2)
    return saturating_shift_left(x, 1), 12 - headroom_plus_one


def tflite_softmax(row, multiplier, left_shift, minimum_difference):
    """TFLite ``reference_ops::Softmax<int8_t, int8_t>``, one row."""
    exponentials = []
    for value in row:
        difference = value - max(row)
        scaled = gemmlowp_high_mul(difference << left_shift, multiplier)
        exponentials.append(gemmlowp_exp(scaled) if difference >= minimum_difference else None)
    total = sum(gemmlowp_divide_by_pot(e, 12) for e in exponentials if e is not None)
    scale, bits_over_unit = tflite_reciprocal(total)
    outputs = []
    for exponential in exponentials:
        if exponential is None:
            outputs.append(-128)
            continue
        product = gemmlowp_high_mul(scale, exponential)
        quotient = gemmlowp_divide_by_pot(product, bits_over_unit + 31 - 8)
        outputs.append(min(quotient - 128, 127))
    return outputs
