"""The neural engine: runs a whole network from a program stream, start to done."""

from amaranth.hdl import Assert, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, flipped

from hdl.config import ACT_BANKS, MRAM_WORD_BYTES, ChipConfig
from hdl.engine.accumulators import Accumulators, AccumulatorTag
from hdl.engine.align import Align
from hdl.engine.array import MacArray
from hdl.engine.descriptor import Feed, Header, Operation, Reduction
from hdl.engine.drain import Drain
from hdl.engine.fetch import BankRead, Fetch
from hdl.engine.loader import AnyDescriptor, Loader
from hdl.engine.parameters import ParameterStore
from hdl.engine.serial import Serial
from hdl.engine.vector import Vector
from hdl.engine.walker import Walker
from hdl.engine.writer import BankWrite

__all__ = ["Engine"]


class Engine(wiring.Component):
    """Loader, front end, array, accumulators and drain, and their sequencing.

    A job belongs to the array, to the serial path or to the vector unit; one runs at a time.  The
    front end (`Walker`, `Fetch`, `Align`) and the back end (`MacArray`, `Accumulators`) are two
    pipelines that stall apart: the front waits for weight tiles, the back for the drain.

    Members
    -------
    start : In(1)
        Run the program at `program`; only while not `busy`.
    program : In
        MRAM word address of the first descriptor.
    busy : Out(1)
        High from the cycle after `start` until the last result is in the activation memory.
    layer_done : Out(1)
        Pulse at the end of each job; of one in a loop, in each turn.
    words, address, keep, rewind, seek, stop, end, end_valid
        Towards the weight cache; see `hdl.mram.cache.WeightCache`.
    wake_mark : Out(7)
        `Header.wake_mark` of the descriptor read last.
    memory_reads, memory_write
        Towards the activation memory; see `hdl.engine.memory.ActivationMemory`.
    next_used, next_live : Out(config.activation_segments)
        `Header.used` and `Header.live` of the job that waits to begin; 0 while none does.
    segments_ready : In(1)
        The segments in `next_used` are on.  The job begins only then.
    job_used : Out(config.activation_segments)
        `Header.used` of the job that runs; 0 while none does.
    job_live : Out(config.activation_segments)
        `Header.live` of the job that began last, until the next one begins or `busy` falls.
    mac_active, wait_weights, wait_drain : Out(1)
        For counting cycles: a product enters the array; the front waits for a tile; the back waits
        for the drain.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        address = unsigned(config.mram_address_bits)
        segments = unsigned(config.activation_segments)
        super().__init__(
            {
                "start": In(1),
                "program": In(address),
                "busy": Out(1),
                "layer_done": Out(1),
                "words": In(stream.Signature(unsigned(8 * MRAM_WORD_BYTES))),
                "address": In(address),
                "keep": Out(1),
                "rewind": Out(1),
                "seek": Out(stream.Signature(address)),
                "stop": Out(1),
                "end": Out(address),
                "end_valid": Out(1),
                "wake_mark": Out(Header.as_shape()["wake_mark"].shape),
                "memory_reads": Out(BankRead(config)).array(ACT_BANKS),
                "memory_write": Out(BankWrite(config)),
                "next_used": Out(segments),
                "next_live": Out(segments),
                "segments_ready": In(1),
                "job_used": Out(segments),
                "job_live": Out(segments),
                "mac_active": Out(1),
                "wait_weights": Out(1),
                "wait_drain": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the parts."""
        m = Module()
        config = self.config
        m.submodules.loader = loader = Loader(config)
        m.submodules.walker = walker = Walker(config)
        m.submodules.fetch = fetch = Fetch(config)
        m.submodules.align = align = Align(config)
        m.submodules.array = array = MacArray(config)
        m.submodules.accumulators = accumulators = Accumulators(config)
        m.submodules.parameters = parameters = ParameterStore(config)
        m.submodules.drain = drain = Drain(config)
        m.submodules.serial = serial = Serial(config)
        m.submodules.vector = vector = Vector(config)

        # --- program stream -----------------------------------------------------------------------
        wiring.connect(m, flipped(self.words), loader.words)
        wiring.connect(m, loader.parameters, parameters.i)
        wiring.connect(m, loader.tiles, array.tile)
        m.d.comb += [
            loader.start.eq(self.start),
            loader.program.eq(self.program),
            loader.address.eq(self.address),
            self.keep.eq(loader.keep),
            self.rewind.eq(loader.rewind),
            self.seek.valid.eq(loader.seek.valid),
            self.seek.payload.eq(loader.seek.payload),
            self.stop.eq(loader.stop),
            self.end.eq(loader.end),
            self.end_valid.eq(loader.end_valid),
            self.wake_mark.eq(loader.wake_mark),
        ]

        # --- sequencing: one job at a time; the loader is one ahead -------------------------------
        held, running = Signal(AnyDescriptor), Signal()
        job = held.job
        is_softmax, is_vector, begin, done = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            loader.taken.eq(loader.job_valid & ~running & self.segments_ready),
            loader.running.eq(running),
            is_softmax.eq(held.header.operation == Operation.SOFTMAX),
            is_vector.eq(held.header.operation == Operation.VECTOR),
            walker.job.eq(job),
            fetch.job.eq(job),
            align.job.eq(job),
            drain.job.eq(job),
            serial.job.eq(job),
            vector.job.eq(held.vector),
            walker.start.eq(begin & ~is_softmax & ~is_vector),
            drain.start.eq(begin & ~is_softmax & ~is_vector),
            serial.start.eq(begin & is_softmax),
            vector.start.eq(begin & is_vector),
            # What follows a descriptor comes when its job has been taken.
            serial.table.valid.eq(loader.table.valid & is_softmax),
            serial.table.payload.eq(loader.table.payload),
            vector.words.valid.eq(loader.table.valid & is_vector),
            vector.words.payload.eq(loader.table.payload),
            loader.table.ready.eq(Mux(is_vector, vector.words.ready, serial.table.ready)),
            done.eq(running & ~begin & ~drain.busy & ~serial.busy & ~vector.busy),
            self.layer_done.eq(done),
        ]
        m.d.sync += begin.eq(loader.taken)
        with m.If(loader.taken):
            m.d.sync += [held.eq(loader.job), running.eq(1)]
        with m.Elif(done):
            m.d.sync += running.eq(0)
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(loader.ended & ~running & ~loader.job_valid):
            m.d.sync += self.busy.eq(0)

        # What is live stays so between two jobs, while the stream brings the next one.
        begun = Signal()
        with m.If(loader.taken):
            m.d.sync += begun.eq(1)
        with m.Elif(~self.busy):
            m.d.sync += begun.eq(0)
        with m.If(loader.job_valid):
            m.d.comb += [
                self.next_used.eq(loader.job.header.used),
                self.next_live.eq(loader.job.header.live),
            ]
        with m.If(running):
            m.d.comb += self.job_used.eq(held.header.used)
        with m.If(begun & self.busy):
            m.d.comb += self.job_live.eq(held.header.live)

        # --- front end ----------------------------------------------------------------------------
        front, back = Signal(), Signal()
        entering, tile_missing = Signal(), Signal()
        tag = fetch.tag
        m.d.comb += [
            back.eq(accumulators.advance),
            tile_missing.eq(fetch.tag_valid & tag.mac & tag.new_tile & ~array.full),
            front.eq(back & ~tile_missing),
            entering.eq(front & fetch.tag_valid & tag.mac),
            walker.advance.eq(front),
            fetch.advance.eq(front),
            fetch.step.eq(walker.step),
            fetch.valid.eq(walker.busy),
            align.step.eq(tag),
            align.history.eq(fetch.history),
            array.lanes.eq(align.lanes),
            array.window.eq(align.window),
            array.broadcast.eq(job.feed != Feed.WINDOW),
            array.load.eq(entering),
            array.swap.eq(entering & tag.new_tile),
        ]

        # --- back end -----------------------------------------------------------------------------
        operand_tag, operand_valid = Signal(AccumulatorTag), Signal()
        with m.If(back):
            m.d.sync += [
                operand_valid.eq(entering),
                operand_tag.pixel.eq(tag.pixel),
                operand_tag.first.eq(tag.first),
                operand_tag.last.eq(tag.last),
                operand_tag.maximum.eq(job.reduction == Reduction.MAX),
                operand_tag.skip.eq(~fetch.inside),
                operand_tag.shift.eq(tag.shift),
            ]
        m.d.comb += [
            array.advance.eq(back & operand_valid),
            accumulators.tag.eq(operand_tag),
            accumulators.tag_valid.eq(operand_valid),
            accumulators.sums.eq(array.sums),
            parameters.slice.eq(drain.slice),
            parameters.release.eq(drain.release),
            drain.channels.eq(parameters.channels),
            drain.parameters_full.eq(parameters.full),
        ]
        wiring.connect(m, accumulators.o, drain.i)

        # --- activation memory --------------------------------------------------------------------
        for b, read in enumerate(self.memory_reads):
            m.d.comb += read.enable.eq(
                fetch.banks[b].enable | serial.banks[b].enable | vector.banks[b].enable
            )
            with m.If(is_vector):
                m.d.comb += read.address.eq(vector.banks[b].address)
            with m.Elif(is_softmax):
                m.d.comb += read.address.eq(serial.banks[b].address)
            with m.Else():
                m.d.comb += read.address.eq(fetch.banks[b].address)
            for reader in (fetch, serial, vector):
                m.d.comb += reader.banks[b].data.eq(read.data)
        with m.If(is_vector):
            wiring.connect(m, vector.write, flipped(self.memory_write))
        with m.Elif(is_softmax):
            wiring.connect(m, serial.write, flipped(self.memory_write))
        with m.Else():
            wiring.connect(m, drain.write, flipped(self.memory_write))
        m.d.comb += [
            self.mac_active.eq(entering),
            self.wait_weights.eq(back & tile_missing),
            self.wait_drain.eq(~back),
        ]
        m.d.sync += [
            Assert(~(self.start & self.busy), "started while busy"),
            Assert(~(serial.busy & drain.busy), "two jobs at once"),
            Assert(~(vector.busy & (serial.busy | drain.busy)), "two jobs at once"),
            Assert(~vector.busy | is_vector, "the memory is not the vector unit's"),
            Assert(~serial.busy | is_softmax, "the memory is not the serial path's"),
            Assert(
                ~(done & (fetch.in_flight | accumulators.in_flight | walker.busy)),
                "a job ended with steps in flight",
            ),
        ]
        return m
