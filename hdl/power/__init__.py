"""Power: domains, their sequencers, the power management unit, and what off means."""

from hdl.power.domains import Gating, Mode, PowerDomain, PowerState, power_domains
from hdl.power.ramp import RampArbiter
from hdl.power.sequencer import Sequencer
from hdl.power.signals import DomainControl, PowerRequest

__all__ = [
    "DomainControl",
    "Gating",
    "Mode",
    "PowerDomain",
    "PowerRequest",
    "PowerState",
    "RampArbiter",
    "Sequencer",
    "power_domains",
]
