"""The chip: blocks put together."""
