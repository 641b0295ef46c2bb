"""The audio domain and its link to the core, without the power domain that the chip puts between.

Clock domains: ``sync`` is the microphone's, ``core`` the core's.
"""

from amaranth.hdl import DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from hdl.audio.domain import AudioDomain
from hdl.audio.link import AudioLink

__all__ = ["AudioSubsystem"]

CROSSINGS = ("words", "tables", "commands")
OF_LINK = ("o", "status", "clear", "resume")


class AudioSubsystem(wiring.Component):
    """`AudioDomain` and `AudioLink`, connected as in `hdl.soc.audio_path`.

    Parameters
    ----------
    domain : AudioDomain
        The microphone's side.

    Members
    -------
    o, status, clear, resume
        Of `AudioLink`, in domain ``core``.
    tables : In(stream of table_write)
        ``i`` of `AudioLink`, in domain ``core``.
    others
        Of `AudioDomain`.
    """

    def __init__(self, domain: AudioDomain):
        self.domain, self.link = domain, AudioLink(domain)
        of_domain, of_link = domain.signature.members, self.link.signature.members
        self.passed = [name for name in of_domain if name not in (*CROSSINGS, *OF_LINK)]
        super().__init__(
            {name: of_domain[name] for name in self.passed}
            | {name: of_link[name] for name in OF_LINK}
            | {"tables": of_link["i"]}
        )

    def elaborate(self, platform):
        """Connect the two ends, and both to the ports."""
        m = Module()
        m.submodules.domain = domain = self.domain
        m.submodules.link = DomainRenamer("core")(self.link)
        link = self.link
        connect(m, domain.words, link.words)
        connect(m, link.tables, domain.tables)
        connect(m, link.commands, domain.commands)
        connect(m, flipped(self.tables), link.i)
        connect(m, link.o, flipped(self.o))
        m.d.comb += [
            link.domain_status.eq(domain.status),
            self.status.eq(link.status),
            link.clear.eq(self.clear),
            link.resume.eq(self.resume),
        ]
        for name in self.passed:
            here, there = getattr(self, name), getattr(domain, name)
            of_domain = self.signature.members[name].flow is In
            m.d.comb += there.eq(here) if of_domain else here.eq(there)
        return m
