"""Amaranth to Verilog for simulation, also for designs with megabytes of memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.back import rtlil, verilog
from amaranth.hdl import Const, Fragment, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import Component, In

__all__ = ["LINT_OFF", "ports_of", "to_verilog"]

LINT_OFF = [
    "-Wno-WIDTH",
    "-Wno-CASEINCOMPLETE",
    "-Wno-CMPCONST",
    "-Wno-UNSIGNED",
    "-Wno-SYMRSVDWORD",
]
"""Verilator warnings that say nothing about Amaranth's Verilog: it sizes every operator, writes a
default before every case, and compares with constants that a parameter made trivial; names like
``abort`` are C++'s, and get a prefix there.  Any other warning stops a build."""


def to_verilog(component: Component, *, name: str) -> str:
    """Convert ``component`` to Verilog whose text is the same on every machine.

    ``name`` is the module's; no port may have it.  Memories whose initial contents are all zero
    carry no initial values: Verilator zeroes them anyway.  Spelled out, the 2 MB of the MRAM are
    131072 assignments, which take Amaranth and Yosys two minutes.
    """
    with without_zero_memory_contents(), clocks_in_order():
        ports = ports_of(component)
        return str(verilog.convert(component, name=name, ports=ports, strip_internal_attrs=True))


def ports_of(component: Component) -> dict[str, tuple[Value, PortDirection]]:
    """Ports by their names in Verilog, as Amaranth's converters take them.

    Those of a component's signature, but not its constants, which Amaranth refuses: ``ready`` of a
    stream that is always ready.
    """
    ports = {}
    for path, member, port in component.signature.flatten(component):
        value = Value.cast(port)
        if not isinstance(value, Const):
            direction = PortDirection.Input if member.flow is In else PortDirection.Output
            ports["__".join(map(str, path))] = value, direction
    return ports


@contextmanager
def without_zero_memory_contents() -> Iterator[None]:
    """Have Amaranth emit no ``$meminit`` for memories that start as zero."""
    # Amaranth has no option for this, so its emitter's method is exchanged for as long as it
    # takes.  The method is internal: one reason for the exact pin of Amaranth's version.
    emitter = rtlil.ModuleEmitter
    emit_memory = emitter.emit_memory

    def emit_nonzero_memory(self, cell_idx, cell):
        if any(cell.init):
            emit_memory(self, cell_idx, cell)

    emitter.emit_memory = emit_nonzero_memory
    try:
        yield
    finally:
        emitter.emit_memory = emit_memory


@contextmanager
def clocks_in_order() -> Iterator[None]:
    """Have Amaranth sort the ports of clock domains by name.

    Their order is that of a set otherwise, another one in every process.
    """
    create = Fragment._create_missing_domains

    def create_in_order(self, missing_domain, *, platform=None):
        domains = create(self, missing_domain, platform=platform)
        return sorted(domains, key=lambda domain: domain.name)

    Fragment._create_missing_domains = create_in_order
    try:
        yield
    finally:
        Fragment._create_missing_domains = create
