"""The clocks of the chip, by their rates."""

__all__ = ["AON_HZ", "CORE_HZ"]

CORE_HZ = 50_000_000
"""Core clock at which simulated time is reported, and wake-up times become cycles."""
AON_HZ = 32_768
"""Clock of what is always on."""
