"""Tables that the host writes before a front end runs."""

from amaranth.lib.wiring import Out, Signature

__all__ = ["TablePort"]


class TablePort(Signature):
    """Write port of a table.

    Parameters
    ----------
    depth : int
        Rows.
    shape : shape-like
        One row.

    Members
    -------
    enable : Out(1)
        Write in this cycle.  The table must not be in use.
    address : Out(range(depth))
    data : Out(shape)
    """

    def __init__(self, depth, shape):
        super().__init__({"enable": Out(1), "address": Out(range(depth)), "data": Out(shape)})
