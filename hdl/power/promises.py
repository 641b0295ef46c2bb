"""What a sequencer promises, for every input and all time."""

from amaranth.hdl import Assert, Cat, Module, Signal, Value
from amaranth.lib.wiring import Component

from hdl.power.domains import Retention

__all__ = ["assert_promises"]

WIRES = {
    # isolate, reset, clock, all switches closed; None: either
    "REST": (1, 1, 0, 0),
    "CLOSE": (1, 1, 0, 0),
    "WAIT": (1, 1, 0, 1),
    "START": (1, 1, 0, 1),
    "RESTORE": (1, 1, 1, 1),
    "RELEASE": (1, 1, 1, 1),
    "RESTORED": (1, 0, 1, 1),
    "CONNECT": (1, 0, 1, 1),
    "ON": (0, 0, 1, 1),
    "ISOLATE": (0, 0, 1, 1),
    "STOP": (1, 0, 1, 1),
    "KEEP": (1, 0, 0, 1),
    "SAVED": (1, 0, 0, 1),
    "RESET": (1, 0, 0, 1),
    "RESUME": (1, 1, 0, 1),
    "OPEN": (1, 1, 0, None),
    "ERROR": (1, 1, 0, 0),
}
"""The state machine as a table: which wires are where, in every state."""

UP = ("START", "RESTORE", "RELEASE", "RESTORED", "CONNECT", "ON")
DOWN = ("ISOLATE", "STOP", "KEEP", "SAVED", "RESET", "RESUME")


def assert_promises(
    m: Module,
    sequencer: Component,
    fsm,
    *,
    keep: Value,
    failed: Value,
    timer: Value,
    switches: Value,
) -> None:
    """Assert safety, order and bounded time of ``sequencer``.

    The first group is what others rely on; the second says what each state looks like, which makes
    the first one provable in a few steps of induction.
    """
    control, domain, timeout = sequencer.control, sequencer.domain, sequencer.timeout
    isolate, reset, clock = control.isolate, control.reset, control.clock
    save, restore, retain = control.save, control.restore, control.retain
    closed, on = switches.all(), fsm.ongoing("ON")
    longest = max(timeout, len(DOWN)) + len(UP)  # of a movement that has not begun to open
    age = Signal(range(longest + domain.steps + 2))  # cycles of the present movement

    was_good, was_clock, was_reset = Signal(), Signal(), Signal(init=1)
    was_ramp, was_granted = Signal(), Signal()
    was_save, was_restore = Signal(), Signal()
    was_switches = Signal.like(switches)
    m.d.sync += [
        was_good.eq(control.good),
        was_clock.eq(clock),
        was_reset.eq(reset),
        was_ramp.eq(sequencer.ramp),
        was_granted.eq(sequencer.granted),
        was_save.eq(save),
        was_restore.eq(restore),
        was_switches.eq(switches),
        age.eq(age + 1),
    ]
    with m.If(fsm.ongoing("REST") | on | fsm.ongoing("ERROR")):
        m.d.sync += age.eq(0)
    moved = switches ^ was_switches
    m.d.sync += [
        Assert(closed | (isolate & reset), "a dead domain is not isolated, or not in reset"),
        Assert(~clock | (closed & was_good), "a clock without a good supply"),
        Assert(~on | (closed & was_good & clock & ~isolate & ~reset), "ON, but not usable"),
        Assert((moved & (moved - 1)) == 0, "two switches move at once"),
        Assert(~(moved & switches).any() | was_ramp, "a switch closes outside of a ramp"),
        Assert(~(moved & switches)[0] | was_granted, "a ramp without a grant"),
        Assert(~save | (closed & isolate & ~clock & ~was_clock & ~reset), "save on the move"),
        Assert(~(reset & ~was_reset & was_save) | failed, "reset on the heels of a save"),
        Assert(~restore | (clock & isolate), "restore without a clock, or in use"),
        Assert(~(restore & ~was_restore) | (reset & was_reset), "restore after the reset"),
        Assert(~(was_restore & ~restore) | ~reset | failed, "a restored value is reset"),
        Assert(~sequencer.request.error | (switches == 0), "an error with switches closed"),
        Assert(age < longest + domain.steps + 1, "a movement does not end"),
    ]

    states = {state: fsm.ongoing(state) for state in WIRES if state in fsm.encoding}
    m.d.sync += Assert(sum(states.values()) == 1, "no state")
    for state, here in states.items():
        wires = (isolate, reset, clock, closed)
        for wire, value in zip(wires, WIRES[state], strict=True):
            if value is not None:
                m.d.sync += Assert(~here | (wire == value), f"not what {state} looks like")
        if state in UP:
            bound = max(timeout, len(DOWN)) + UP.index(state)
            m.d.sync += Assert(~here | (age <= bound), f"late in {state}")
        if state in DOWN:
            m.d.sync += Assert(~here | (age <= DOWN.index(state)), f"late in {state}")
    on_way = Cat(states[state] for state in ("CLOSE", "WAIT") if state in states).any()
    count = sum(switches)
    m.d.sync += [
        Assert((switches & (switches + 1)) == 0, "switches close in the wrong order"),
        Assert(~(states["REST"] | states["ERROR"]) | (switches == 0), "rests with a switch closed"),
        Assert(~on_way | ((age == timer) & (timer < timeout)), "the timer is wrong"),
        Assert(~on_way | closed | (timer + 1 == count), "a step is missing"),
        Assert(~states["OPEN"] | (age + count <= longest + domain.steps - 1), "opens late"),
    ]
    dead = Cat(
        states[state]
        for state in ("REST", "CLOSE", "WAIT", "OPEN", "RESET", "RESUME")
        if state in states
    ).any()
    if domain.retention is Retention.ARRAY:
        m.d.sync += Assert(~keep | ~dead | retain, "an array loses what it was to keep")
    if domain.retention is Retention.REGISTERS:
        saved = Signal()
        with m.If(on):
            m.d.sync += saved.eq(0)
        with m.If(save):
            m.d.sync += saved.eq(1)
        m.d.sync += [
            Assert(~keep | ~(dead | states["RESTORE"]) | saved, "registers are not saved"),
            Assert(~keep | ~states["SAVED"] | save, "registers are not being saved"),
            Assert(~save | states["SAVED"], "a long save"),
            Assert(~restore | saved, "restore without a save"),
            Assert(~restore | states["RELEASE"] | states["RESTORED"], "a long restore"),
        ]
