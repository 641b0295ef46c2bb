"""The wires between sequencers, switches and domains."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.power.domains import PowerState

__all__ = ["DomainControl", "PowerRequest"]


class DomainControl(wiring.Signature):
    """What a sequencer does to its domain, seen from the sequencer.

    Members
    -------
    switches : Out(steps)
        Header switches, closed one after another from bit 0 on.
    good : In(1)
        The domain's supply is up: all switches are closed and have settled; for a macro, it has
        acknowledged its wake-up.
    isolate : Out(1)
        Outputs of the domain are held at their clamp values.
    save, restore : Out(1)
        Pulses of `Retention.REGISTERS`.
    retain : Out(1)
        Level of `Retention.ARRAY`: the array's own supply is closed.
    clock : Out(1)
        The domain's clock runs.
    reset : Out(1)
        The domain's reset.
    """

    def __init__(self, steps: int):
        super().__init__(
            {
                "switches": Out(steps),
                "good": In(1),
                "isolate": Out(1),
                "save": Out(1),
                "restore": Out(1),
                "retain": Out(1),
                "clock": Out(1),
                "reset": Out(1),
            }
        )


class PowerRequest(wiring.Signature):
    """Asking a sequencer for a state, seen from who asks.

    Members
    -------
    target : Out(PowerState)
        The state wanted; may change at any time.
    permit : Out(1)
        While 0 the target counts as RETAIN if it was not OFF and the domain has retention, and as
        OFF otherwise.
    state : In(PowerState)
        The state that the domain is in: ON only while it can be used, from before ``isolate`` rises
        no longer.
    error : In(1)
        The supply did not come up in time: the domain is off, isolated and in reset, and stays so
        until the target is OFF.
    """

    def __init__(self):
        super().__init__(
            {
                "target": Out(PowerState),
                "permit": Out(1),
                "state": In(PowerState),
                "error": In(1),
            }
        )
