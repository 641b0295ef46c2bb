"""The chip as far as it goes: engine, memories, MRAM, audio and power, working without a CPU."""

from collections.abc import Callable

from amaranth.hdl import Assert, Cat, DomainRenamer, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hdl.config import ChipConfig
from hdl.engine import Engine
from hdl.engine.memory import ActivationMemory, HostPort
from hdl.mram.array import MramArray
from hdl.mram.bank import MramBank
from hdl.mram.cache import WeightCache
from hdl.mram.manager import MaintenancePort, MramManager
from hdl.mram.signals import FactoryWrite, WordPort
from hdl.power.domains import (
    Gating,
    Mode,
    PowerState,
    coarse_domains,
    fast_domains,
    power_domains,
)
from hdl.power.fast import FastLevel
from hdl.power.pmu import Pmu
from hdl.power.policy import GatingPolicy
from hdl.soc.audio_path import AudioPins, AudioPort, connect_audio
from hdl.soc.image_path import ImagePins, ImagePort, connect_image
from hdl.soc.islands import Islands
from hdl.soc.run_control import RunControl, RunError
from hdl.soc.window_writer import WindowPort, WindowSource, WindowWriter

__all__ = ["Chip"]


class Chip(wiring.Component):
    """Engine, weight cache, activation memory, MRAM and audio, each in its power domain.

    Clock domains: ``sync`` is the core's, ``aon`` the always-on one, ``audio`` the microphone's,
    ``pixel`` the camera's, ``codec`` the core's for the JPEG encoder alone.

    Parameters
    ----------
    config : ChipConfig
        All sizes.
    power_aware : bool
        For simulation: what is off loses its contents, and its outputs are random.
    bank : callable
        Makes an MRAM bank: `hdl.mram.bank.MramBank` or a component with its ports.

    Members
    -------
    start : In(1)
        Run the program at `program`; only while not `busy` and in a mode that permits it.
    program : In
        MRAM word address of the first descriptor.
    gating : In(Gating)
        When banks and segments are on; may change only while not `busy`.
    footprint, held : In(activation_segments)
        Segments that the network uses, and those of them that are kept between runs.
    busy : Out(1)
        High from the cycle after `start` until the last result is in the activation memory, or the
        run has been ended by an error.
    layer_done : Out(1)
        Pulse at the end of each job.
    error, error_kind, error_address : Out
        See `RunControl`.
    host : In(HostPort)
        Activation memory, while not `busy`.
    word : In(WordPort), maintenance : In(MaintenancePort)
        Single words of the MRAM, and the registers of its manager.
    mram_write : In(FactoryWrite)
        Programming of the MRAM, while not `busy`.
    mram_reads, corrected : Out(32)
        Words read from the MRAM since `start`, and wrong bits corrected.
    mram_active : Out(1)
        A bank of the MRAM takes current; it is awake or on its way.
    mram_banks_powered : Out(mram_banks)
        Which ones.
    power_state : Out(PowerState, one a domain)
        In the order of `power_domains`.
    mac_active, wait_weights, wait_drain : Out(1)
        See `Engine`.
    audio : In(AudioPort)
        Registers and state of the audio front end, on ``sync``.
    audio_pins : In(AudioPins)
        Its microphone, on ``audio``.
    audio_clock : Out(1)
        The domain ``audio`` has power, or is about to: its clock is to run.
    image : In(ImagePort)
        Registers, state and files of the image front end, on ``sync``.
    image_pins : In(ImagePins)
        Its camera, on ``pixel``.
    pixel_clock : Out(1)
        The domain ``image`` has power, or is about to: the camera's clock is to run.
    codec_clock : Out(1)
        The same of ``jpeg``: ``codec`` is to run, with the core's clock.
    window : In(WindowPort)
        What becomes of the words of a front end, on ``sync``.
    mode_request, wake_mode, mode, mode_ready, wake_clear, wake_pending, core_clock, power_error
        See `Pmu`: on the clock ``aon``.  ``power_error`` is its ``error``.
    wake : In(3)
        The PMU's; the microphone's wake-up is AUDIO, too, and the camera's IMAGE.
    """

    def __init__(
        self,
        config: ChipConfig,
        *,
        power_aware: bool = True,
        bank: Callable[[ChipConfig], Component] = MramBank,
    ):
        self.config, self.power_aware, self.bank = config, power_aware, bank
        segments = config.activation_segments
        domains = len(power_domains(config))
        super().__init__(
            {
                "start": In(1),
                "program": In(config.mram_address_bits),
                "gating": In(Gating),
                "footprint": In(segments),
                "held": In(segments),
                "busy": Out(1),
                "layer_done": Out(1),
                "error": Out(1),
                "error_kind": Out(RunError),
                "error_address": Out(config.mram_address_bits),
                "host": In(HostPort(config)),
                "word": In(WordPort(config)),
                "maintenance": In(MaintenancePort(config)),
                "mram_write": In(FactoryWrite(config)),
                "mram_reads": Out(32),
                "corrected": Out(32),
                "mram_active": Out(1),
                "mram_banks_powered": Out(config.mram_banks),
                "power_state": Out(data.ArrayLayout(PowerState, domains)),
                "mac_active": Out(1),
                "wait_weights": Out(1),
                "wait_drain": Out(1),
                "audio": In(AudioPort(config)),
                "audio_pins": In(AudioPins()),
                "audio_clock": Out(1),
                "image": In(ImagePort(config)),
                "image_pins": In(ImagePins()),
                "pixel_clock": Out(1),
                "codec_clock": Out(1),
                "window": In(WindowPort()),
                "mode_request": In(Mode),
                "wake_mode": In(Mode),
                "mode": Out(Mode),
                "mode_ready": Out(1),
                "wake": In(3),
                "wake_clear": In(4),
                "wake_pending": Out(4),
                "core_clock": Out(1),
                "power_error": Out(1),
            }
        )

    def islands(self, m: Module, pmu: Pmu, fast: FastLevel) -> Islands:
        """Who puts the blocks into their domains."""
        return Islands(m, self.config, pmu, fast, power_aware=self.power_aware)

    def elaborate(self, platform):
        """Make the power domains, then connect blocks, power and ports."""
        m = Module()
        config = self.config
        pmu, fast = Pmu(config), FastLevel(config)
        m.submodules.pmu = DomainRenamer("aon")(pmu)
        m.submodules.fast = fast
        m.submodules.policy = policy = GatingPolicy(config)
        m.submodules.run = run = RunControl(config)

        islands = self.islands(m, pmu, fast)
        manager = MramManager(config)
        engine = islands.coarse("engine", Engine(config), reset=run.abort)
        cache = islands.coarse("wcache", WeightCache(config), reset=run.abort)
        mctl = islands.coarse("mctl", manager, retained=manager.retained)
        for domain in coarse_domains(config):
            if not domain.present:
                islands.empty(domain.name)
        m.submodules.memory = memory = ActivationMemory(
            config, island=lambda k, segment: islands.fast_domain(f"act{k}", segment)
        )
        m.submodules.mram = mram = MramArray(config, bank=self.bank, power_aware=self.power_aware)

        heard = connect_audio(m, islands, config, self.audio, self.audio_pins)
        seen = connect_image(m, islands, config, self.image, self.image_pins)
        m.submodules.writer = writer = WindowWriter(config)
        start = Signal()
        m.d.comb += start.eq(self.start | writer.start)

        self.connect_stream(m, engine, cache, mctl, mram)
        self.connect_run(m, run, engine, cache, mctl, fast, start)
        self.connect_memory(m, engine, memory, policy, writer)
        self.connect_writer(
            m, writer, engine, fast, {WindowSource.AUDIO: heard[0], WindowSource.IMAGE: seen[0]}
        )
        self.connect_policy(m, policy, engine, cache, mctl, fast, mram)
        self.connect_modes(m, pmu, fast, heard[1], seen[1])
        m.d.sync += [
            Assert(~(self.host.enable & self.busy), "host access while the engine runs"),
            Assert(~(self.mram_write.enable & self.busy), "MRAM written while the engine runs"),
            Assert(~start | fast.allowed, "started in a mode that does not permit it"),
        ]
        return m

    def connect_stream(self, m, engine, cache, mctl, mram):
        """Program and weights, from the banks to the engine."""
        connect(m, cache.o, engine.words)
        connect(m, cache.mram, mctl.stream)
        connect(m, flipped(self.word), mctl.word)
        connect(m, flipped(self.maintenance), mctl.maintenance)
        connect(m, flipped(self.mram_write), mram.factory)
        for access, bank in zip(mctl.banks, mram.access, strict=True):
            connect(m, access, bank)
        m.d.comb += [
            engine.address.eq(cache.address),
            cache.keep.eq(engine.keep),
            cache.rewind.eq(engine.rewind),
            cache.seek.valid.eq(engine.seek.valid),
            cache.seek.payload.eq(engine.seek.payload),
            cache.end.eq(engine.end),
            cache.end_valid.eq(engine.end_valid),
            cache.wake_mark.eq(engine.wake_mark),
        ]

    def connect_run(self, m, run, engine, cache, mctl, fast, start):
        """A run, from its start to its end or its error."""
        segments = self.config.activation_segments
        m.d.comb += [
            engine.start.eq(start),
            engine.program.eq(self.program),
            cache.clear.eq(start),
            cache.stop.eq(engine.stop | run.stop),
            mctl.clear.eq(start),
            mctl.idle.eq(~engine.busy & ~start & fast.allowed),
            fast.busy.eq(engine.busy | mctl.busy),
            run.start.eq(start),
            run.running.eq(engine.busy),
            run.failed.eq(cache.failed),
            run.kind.eq(cache.error_kind),
            run.address.eq(cache.error_address),
            run.power_failed.eq(
                (fast.error[:segments] & ~engine.segments_ready.replicate(segments)).any()
            ),
            run.streaming.eq(cache.mram.wake),
            self.busy.eq(engine.busy),
            self.layer_done.eq(engine.layer_done),
            self.error.eq(run.error),
            self.error_kind.eq(run.error_kind),
            self.error_address.eq(run.error_address),
            self.mram_reads.eq(cache.reads),
            self.corrected.eq(mctl.corrected),
            self.mac_active.eq(engine.mac_active),
            self.wait_weights.eq(engine.wait_weights),
            self.wait_drain.eq(engine.wait_drain),
        ]

    def connect_memory(self, m, engine, memory, policy, writer):
        """Activations, between engine, memory, and the host or a front end in its turn."""
        for engine_read, read in zip(engine.memory_reads, memory.reads, strict=True):
            connect(m, engine_read, read)
        connect(m, engine.memory_write, memory.write)
        host, other, port = self.host, writer.memory, memory.host
        m.d.comb += [
            getattr(port, name).eq(Mux(writer.taken, getattr(other, name), getattr(host, name)))
            for name in ("open", "enable", "write", "bank", "address", "data")
        ]
        m.d.comb += [
            host.ready.eq(port.ready & ~writer.taken),
            other.ready.eq(port.ready & writer.taken),
            host.q.eq(port.q),
            memory.on.eq(Cat(state == PowerState.ON for state in policy.states)),
            memory.host_ready.eq(policy.host_ready),
            policy.host_open.eq(port.open),
        ]

    def connect_writer(self, m, writer, engine, fast, sources):
        """Words of one of the ``sources``, what they wait for, and what the core is told."""
        with m.Switch(self.window.source):
            for source, words in sources.items():
                with m.Case(source):
                    connect_words = [
                        writer.i.valid.eq(words.valid),
                        writer.i.payload.eq(words.payload),
                        words.ready.eq(writer.i.ready),
                    ]
                    m.d.comb += connect_words
        m.d.comb += [
            writer.busy.eq(engine.busy | self.start | ~fast.allowed),
            writer.host.eq(self.host.open),
            writer.automatic.eq(self.window.automatic),
            writer.release.eq(self.window.release),
            self.window.full.eq(writer.full),
            self.window.started.eq(writer.started),
        ]

    def connect_policy(self, m, policy, engine, cache, mctl, fast, mram):
        """What the program needs, as targets of the fast sequencers."""
        segments, banks = self.config.activation_segments, self.config.mram_banks
        m.d.comb += [
            policy.gating.eq(self.gating),
            policy.busy.eq(engine.busy),
            policy.footprint.eq(self.footprint),
            policy.held.eq(self.held),
            policy.job_used.eq(engine.job_used),
            policy.job_live.eq(engine.job_live),
            policy.next_used.eq(engine.next_used),
            policy.next_live.eq(engine.next_live),
            policy.job_done.eq(engine.layer_done),
            engine.segments_ready.eq(policy.next_ready),
            policy.stream_banks.eq(Cat(access.wake for access in mctl.banks)),
            cache.may_sleep.eq(policy.may_sleep),
            mram.keep.eq(policy.keep_banks & fast.allowed.replicate(banks)),
        ]
        for index, domain in enumerate(fast_domains(self.config)):
            if index < segments:
                m.d.comb += [
                    fast.target[index].eq(policy.targets[index]),
                    policy.states[index].eq(fast.state[index]),
                ]
                continue
            bank = index - segments
            m.d.comb += [
                fast.target[index].eq(mram.targets[bank]),
                mram.states[bank].eq(fast.state[index]),
                mram.errors[bank].eq(fast.error[index]),
            ]
            control = self.bank_control(m, fast, domain.name)
            connect(m, control, mram.control[bank])
        m.d.comb += [
            self.mram_banks_powered.eq(mram.powered),
            self.mram_active.eq(mram.powered.any()),
        ]

    def bank_control(self, m: Module, fast: FastLevel, name: str):
        """What the sequencer of an MRAM bank does; a place for tests to interfere."""
        return getattr(fast.control, name)

    def connect_modes(self, m, pmu, fast, audio_wake, image_wake):
        """The PMU's ports, and the states of all domains."""
        connect(m, pmu.link, fast.link)
        m.d.comb += [
            pmu.mode_request.eq(self.mode_request),
            pmu.wake_mode.eq(self.wake_mode),
            pmu.wake.eq(self.wake | Cat(audio_wake, image_wake)),
            pmu.wake_mask.eq(0b111),
            pmu.wake_clear.eq(self.wake_clear),
            self.wake_pending.eq(pmu.wake_pending),
            self.audio_clock.eq(pmu.control.audio.switches.any()),
            self.pixel_clock.eq(pmu.control.image.switches.any()),
            self.codec_clock.eq(pmu.core_clock & pmu.control.jpeg.switches.any()),
            self.mode.eq(pmu.mode),
            self.mode_ready.eq(pmu.mode_ready),
            self.core_clock.eq(pmu.core_clock),
            self.power_error.eq(pmu.error),
        ]
        states = [PowerState.ON, *pmu.state, *fast.state]
        m.d.comb += [self.power_state[i].eq(state) for i, state in enumerate(states)]
