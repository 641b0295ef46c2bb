"""What a power domain may never do, told from its wires alone."""

from dataclasses import dataclass, field

from hdl.power.domains import Level, PowerDomain, PowerState, Retention
from verif.power_system import FIELDS

__all__ = ["DomainRules", "Wires"]

OFF, RETAIN, ON = (state.value for state in (PowerState.OFF, PowerState.RETAIN, PowerState.ON))
LOST, RESET = "lost", "reset"
GOOD_MEMORY = 6
"""Periods of the always-on clock after which a lost supply must have been noticed."""


class Wires:
    """A domain's word of `PowerSystem`, taken apart."""

    __slots__ = (*FIELDS, "word")

    def __init__(self, word: int):
        self.word = word
        for name, width in FIELDS.items():
            setattr(self, name, word & ((1 << width) - 1))
            word >>= width


@dataclass
class DomainRules:
    """Follows one domain from sample to sample, and knows what its contents are.

    ``sample`` is called with the wires of two successive core clock edges whenever they differ.
    The contents are modelled: a token that is written whenever the domain comes on, a shadow of it,
    and what reset, restore, switches and the array's supply do to them.
    """

    domain: PowerDomain
    ramping: bool = False
    good_until: float = -1e9
    kept: bool = False
    contents: object = LOST
    shadow: object = LOST
    token: int = 0
    count: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("on", "kept", "gave_up", "lost"), 0)
    )

    def sample(self, old: Wires, new: Wires, *, now: float, aon_period: float) -> None:
        """Check one step; ``now`` and ``aon_period`` are in ns."""
        full = (1 << self.domain.steps) - 1
        closed = new.switches == full
        if old.good and not new.good:
            self.good_until = now
        lag = GOOD_MEMORY * aon_period if self.domain.level is Level.COARSE else 0
        supplied = old.good or now - self.good_until <= lag

        # Power, isolation, reset, clock.
        assert closed or (new.isolate and new.reset and not new.clock), "dead, and not isolated"
        assert not new.clock or (closed and supplied), "a clock without a supply"
        if new.state == ON:
            assert closed, "ON with open switches"
            assert not new.isolate, "ON and isolated"
            assert not new.reset, "ON and in reset"
            assert new.clock, "ON without a clock"
        if new.isolate and not old.isolate:
            assert old.state != ON or not old.good, "isolated out of the blue"
        if not new.reset and old.reset:
            assert old.clock, "reset released without a clock"
        if new.error and self.domain.level is Level.FAST:
            assert new.switches == 0, "error with a supply"
            assert new.state == OFF, "error and not OFF"

        self.follow_switches(old, new, closed)
        self.check_kept(old, new, closed=closed, supplied=supplied)

    def follow_switches(self, old: Wires, new: Wires, closed: bool) -> None:
        """Switches move one after another; a ramp lasts from the first one to a good supply."""
        if new.switches != old.switches:
            steps = (old.switches << 1 | 1, old.switches >> 1)
            assert new.switches in steps, f"switches from {old.switches:b} to {new.switches:b}"
            closing = new.switches > old.switches
            self.count["gave_up"] += self.ramping and not closing
            self.ramping = closing
        macro = self.domain.retention is Retention.NON_VOLATILE
        if self.ramping and closed and (macro or new.good):
            self.ramping = False

    def check_kept(self, old: Wires, new: Wires, *, closed: bool, supplied: bool) -> None:
        """What is to be kept is saved, restored and not reset."""
        if new.save:
            assert closed, "save without a supply"
            assert new.isolate, "save from a domain that is not isolated"
            assert not new.clock, "save with the clock running"
            assert not old.clock, "save in the cycle that the clock stops"
            assert not new.reset, "save of the reset"
        if new.restore and not old.restore:
            assert new.reset, "restore after the reset"
            assert old.reset, "restore before the reset"
        self.follow_contents(new, closed)
        failing = not new.clock
        if old.save and new.reset and not old.reset:
            assert not supplied or not new.good, "reset on the heels of a save"
        if old.restore and not new.restore:
            assert not new.reset or failing, "reset after a restore"
        if new.state != old.state:
            if new.state == ON:
                self.comes_on()
            elif old.state == ON:
                self.kept = new.state == RETAIN
        self.kept &= new.state != OFF

    def follow_contents(self, new: Wires, closed: bool) -> None:
        """Do to the contents what the wires do."""
        retention = self.domain.retention
        if retention is Retention.REGISTERS:
            if not closed:
                self.contents = LOST
            elif new.clock and new.restore:
                self.contents = self.shadow
            elif new.clock and new.reset:
                self.contents = RESET
            if new.save:
                self.shadow = self.contents
        elif retention is Retention.ARRAY and not closed and not new.retain:
            self.contents = LOST

    def comes_on(self) -> None:
        """State ON: the contents are what was promised; then new ones are written."""
        self.count["on"] += 1
        retention = self.domain.retention
        if retention in (Retention.REGISTERS, Retention.ARRAY):
            if self.kept:
                self.count["kept"] += 1
                assert self.contents == self.token, f"kept {self.contents}, not {self.token}"
            elif retention is Retention.REGISTERS:
                assert self.contents != LOST, "registers without a value"
            self.count["lost"] += self.contents in (LOST, RESET)
        self.token += 1
        self.contents = self.token
