"""Golden model of what the MRAM stores: its error-correcting code."""
