"""MMSP: compile a quantised network for the chip, simulate it, and report what it costs."""
