"""Samples to windowed frames: ring memory, pre-emphasis, window, automatic scale."""

from amaranth.hdl import Assert, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.audio.config import AudioConfig
from hdl.audio.fft_datapath import DATA_BITS, complex_of
from hdl.audio.levels import PEAK_BITS
from hdl.audio.multipliers import MultiplierPort
from hdl.audio.table import TablePort

__all__ = ["SCALE_BITS", "SLACK", "WINDOW_BITS", "FrameConstants", "Framer"]

SAMPLE_BITS = 16
EMPHASISED_BITS = 25
WINDOW_BITS = 17
CLIP_BITS = 24
SCALE_BITS = 4

SLACK = 128
"""Samples that fit the ring beside the longest frame: 8192 cycles of continuous audio."""


class FrameConstants(data.StructLayout):
    """Constants of a front end, see `models.audio.frontend.FrontEnd`.

    Fields
    ------
    frame, step : range
        Samples, ``1 <= step <= frame <= points``.
    points : range
        Of the FFT; behind a frame come zeros.
    emphasis : range(9)
        Pre-emphasis is by ``1 - 2**-emphasis``; 0 for none.
    shift : range(32)
        Bits that a product of sample and window loses.
    round : 1
        Rounded half up, not down.
    auto_scale : 1
        Shift frames left by what their largest magnitude leaves of 15 bits (TFLM).
    centred : 1
        ``points / 2`` zeros come before the first sample.
    use_peak : 1
        Frames come with a peak; 1 otherwise.
    peak : 15
        That peak; 0 for the largest sample of the previous ``clip`` samples.
    clip : 24
        At least ``fft_points + SLACK``, so that no frame waits for two ends of windows.
    """

    def __init__(self, config: AudioConfig):
        size = range(config.fft_points + 1)
        super().__init__(
            {
                "frame": size,
                "step": size,
                "points": size,
                "emphasis": range(9),
                "shift": range(32),
                "round": 1,
                "auto_scale": 1,
                "centred": 1,
                "use_peak": 1,
                "peak": PEAK_BITS,
                "clip": CLIP_BITS,
            }
        )


class Framer(wiring.Component):
    """Keeps samples until their last frame has been read; gives windowed frames to the FFT.

    Bit-exact with `models.audio.frames`, its peaks with `models.audio.pipeline.FeatureStream`; with
    ``auto_scale`` bit-exact with `models.audio.tflm_window`.  A frame takes `cycles`, with
    ``auto_scale`` two passes, as its magnitude must be known first.

    Parameters
    ----------
    config : AudioConfig
        Largest FFT.

    Members
    -------
    constants : In(FrameConstants(config))
        May change, like the table, while ``restart``.
    window : In(TablePort(config.fft_points, unsigned(17)))
        Window.
    restart : In(1)
        Forget all samples, and the peak: a new recording begins.
    enable : In(1)
        A frame may begin: the multipliers are free until ``busy`` falls.
    i : In(stream.Signature(signed(16)))
        Samples; refused only when the ring is full.
    o : Out(stream.Signature(complex_of(24)))
        Words of two samples, the even one in ``re``.
    busy : Out(1)
        From the cycle after ``enable`` let a frame begin until its last word has left.
    peak : Out(unsigned(15))
        Of the frame in progress.
    scale : Out(unsigned(4))
        Its automatic left shift.
    multiply : Out(MultiplierPort())
        The first.
    """

    def __init__(self, config: AudioConfig):
        self.config = config
        self.depth = config.fft_points + SLACK
        super().__init__(
            {
                "constants": In(FrameConstants(config)),
                "window": In(TablePort(config.fft_points, unsigned(WINDOW_BITS))),
                "restart": In(1),
                "enable": In(1),
                "i": In(stream.Signature(signed(SAMPLE_BITS))),
                "o": Out(stream.Signature(complex_of(DATA_BITS))),
                "busy": Out(1),
                "peak": Out(PEAK_BITS),
                "scale": Out(SCALE_BITS),
                "multiply": Out(MultiplierPort()),
            }
        )

    @staticmethod
    def cycles(points: int, *, auto_scale: bool) -> int:
        """Cycles of a frame from ``enable`` until its last word has left, without stalls."""
        one_pass = points + 2
        return 1 + one_pass + (one_pass + 1 if auto_scale else 0) + 1

    def wrapped(self, address):
        """Bring an address of less than twice the depth back into the ring."""
        return Mux(address >= self.depth, address - self.depth, address)

    def elaborate(self, platform):
        """Build the ring, the peak, and the pipeline from both memories to the word."""
        m = Module()
        constants, points = self.constants, self.config.fft_points
        m.submodules.ring = ring = Memory(shape=signed(SAMPLE_BITS), depth=self.depth, init=[])
        m.submodules.table = table = Memory(shape=unsigned(WINDOW_BITS), depth=points, init=[])
        ring_write, ring_read = ring.write_port(), ring.read_port()
        table_write, table_read = table.write_port(), table.read_port()
        m.d.comb += [
            table_write.en.eq(self.window.enable),
            table_write.addr.eq(self.window.address),
            table_write.data.eq(self.window.data),
        ]

        # --- the ring: `start` is the next frame's first sample, `stored` how many follow ---------
        start, tail = Signal(range(self.depth)), Signal(range(self.depth))
        stored, zeros = Signal(range(self.depth + 1)), Signal(range(points + 1))
        margin = Mux(constants.centred, constants.points >> 1, 0)
        fresh, frame_done = Signal(init=1), Signal()  # fresh: what is before the frame is a zero
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            # One place before the frame is the sample that pre-emphasis subtracts.
            self.i.ready.eq((stored < self.depth - 1) & ~self.restart),
            ring_write.en.eq(taken),
            ring_write.addr.eq(tail),
            ring_write.data.eq(self.i.payload),
        ]
        with m.If(taken):
            m.d.sync += tail.eq(self.wrapped(tail + 1))
        m.d.sync += stored.eq(stored + taken - Mux(frame_done, constants.step, 0))
        with m.If(frame_done):
            m.d.sync += [
                start.eq(self.wrapped(start + constants.step)),
                zeros.eq(Mux(zeros > constants.step, zeros - constants.step, 0)),
                fresh.eq(zeros >= constants.step),
            ]

        # --- peaks: of this window of samples, and of the one before ------------------------------
        received, clip_end = Signal(CLIP_BITS), Signal()
        full_scale = (1 << PEAK_BITS) - 1
        rising, largest = Signal(PEAK_BITS, init=1), Signal(PEAK_BITS)
        current = Signal(PEAK_BITS, init=full_scale)
        previous = Signal(PEAK_BITS, init=full_scale)
        m.d.comb += [
            clip_end.eq(received == constants.clip - 1),
            largest.eq(Mux(self.i.payload > rising, self.i.payload, rising)),
        ]
        with m.If(taken):
            m.d.sync += [received.eq(received + 1), rising.eq(largest)]
            with m.If(clip_end):
                m.d.sync += [
                    received.eq(0),
                    rising.eq(1),
                    current.eq(largest),
                    previous.eq(current),
                ]
        age = Signal(range(self.depth + 1))  # samples behind the frame's last one
        m.d.comb += age.eq(stored - constants.frame)

        with m.If(self.restart):
            m.d.sync += [
                start.eq(0),
                tail.eq(margin),
                stored.eq(margin),
                zeros.eq(margin),
                fresh.eq(1),
                received.eq(0),
                rising.eq(1),
                current.eq(full_scale),
                previous.eq(full_scale),
            ]

        # --- reading: place 0 is the sample before the frame --------------------------------------
        advance, reading, measuring = Signal(), Signal(), Signal()
        place, address = Signal(range(points + 2)), Signal(range(self.depth))
        held, held_place = Signal(), Signal(range(points + 2))
        m.d.comb += [
            ring_read.addr.eq(address),
            ring_read.en.eq(advance),
            table_read.addr.eq(place - 1),
            table_read.en.eq(advance),
        ]
        sample, before = Signal(signed(SAMPLE_BITS)), Signal(signed(SAMPLE_BITS))
        silent = Mux(held_place == 0, fresh, held_place <= zeros)
        m.d.comb += sample.eq(Mux(silent, 0, ring_read.data))

        inside = (held_place != 0) & (held_place <= constants.frame)
        emphasised = Signal(signed(EMPHASISED_BITS))
        m.d.comb += emphasised.eq(((sample - before) << constants.emphasis) + before)
        with m.If(held & inside):
            m.d.comb += [
                self.multiply.enable.eq(1),
                self.multiply.a[0].eq(emphasised),
                self.multiply.b[0].eq(table_read.data),
            ]
        half = Mux(constants.round, (Const(1, 32) << constants.shift)[1:32], 0)
        windowed, scaled = Signal(signed(DATA_BITS)), Signal(signed(DATA_BITS))
        m.d.comb += [
            windowed.eq((self.multiply.product[0] + half) >> constants.shift),
            scaled.eq(windowed),
        ]
        with m.If(constants.auto_scale):
            m.d.comb += scaled.eq((windowed << self.scale)[:SAMPLE_BITS].as_signed())

        # TFLM keeps the maximum in an int16, in which the magnitude of -32768 is -32768.
        maximum = Signal(signed(SAMPLE_BITS))
        magnitude = Signal(signed(SAMPLE_BITS + 1))
        m.d.comb += magnitude.eq(Mux(windowed > maximum, windowed, -windowed))
        with m.If(held & inside & measuring & (magnitude > maximum)):
            m.d.sync += maximum.eq(magnitude)

        first_half = Signal(signed(DATA_BITS))
        o_valid = Signal()
        m.d.comb += [
            self.o.valid.eq(o_valid),
            advance.eq(reading & (~o_valid | self.o.ready)),
        ]
        with m.If(self.o.ready):
            m.d.sync += o_valid.eq(0)
        with m.If(advance):
            m.d.sync += [
                place.eq(place + 1),
                address.eq(self.wrapped(address + 1)),
                held.eq(place <= constants.points),
                held_place.eq(place),
            ]
        with m.If(advance & held):
            m.d.sync += before.eq(sample)
            with m.If(held_place[0]):  # place 1 is sample 0
                m.d.sync += first_half.eq(scaled)
            with m.Elif((held_place != 0) & ~measuring):
                m.d.sync += [o_valid.eq(1), self.o.p.re.eq(first_half), self.o.p.im.eq(scaled)]
        begin_pass = [
            place.eq(0),
            address.eq(Mux(start == 0, self.depth - 1, start - 1)),
            before.eq(0),
            held.eq(0),
        ]

        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.sync += [
                    *begin_pass,
                    maximum.eq(0),
                    measuring.eq(constants.auto_scale),
                ]
                with m.If(self.enable & ~self.restart & (stored >= constants.frame)):
                    m.d.sync += [self.peak.eq(1), self.scale.eq(0)]
                    with m.If(constants.use_peak):
                        m.d.sync += self.peak.eq(Mux(age < received, current, previous))
                        with m.If(constants.peak != 0):
                            m.d.sync += self.peak.eq(constants.peak)
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += reading.eq(1)
                with m.If(advance & held & (held_place == constants.points)):
                    m.next = "LAST"
                    with m.If(measuring):
                        m.next = "SCALE"
            with m.State("SCALE"):
                m.d.sync += [*begin_pass, measuring.eq(0)]
                for length in range(1, SAMPLE_BITS):
                    with m.If(maximum[length - 1] & (maximum > 0)):
                        m.d.sync += self.scale.eq(SAMPLE_BITS - 1 - length)
                m.next = "READ"
            with m.State("LAST"):
                with m.If(self.o.ready):
                    m.d.comb += frame_done.eq(1)
                    m.next = "WAIT"
        m.d.comb += self.busy.eq(~fsm.ongoing("WAIT"))
        m.d.sync += [
            Assert(~(o_valid & ~self.busy), "a word between frames"),
            Assert(~(o_valid & measuring), "a word without its scale"),
            Assert(~(fsm.ongoing("LAST") & measuring), "a frame that was measured and not given"),
        ]
        return m
