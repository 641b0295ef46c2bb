"""Voice-activity detector: wavelet bands against their own floor and peak, without a multiplier."""

from amaranth.hdl import Array, Assert, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BandMonitor", "VadParameters", "VoiceActivityDetector"]

BANDS = 5
FRAME_BITS = 8
SETTLING_FRAMES = 4
SPREAD = (1, 2, 4, 8, 16)

SAMPLE = signed(17)
"""Samples of every level: at most 1.71 of full scale."""
DETAIL = signed(18)
"""At most 2.82 of full scale (absolute sums of the impulse responses)."""
TOTAL_BITS = 23
LEVEL_BITS, FRACTION_BITS = 9, 6
TRACK_BITS = LEVEL_BITS + FRACTION_BITS
SHIFTS = (16, 8, 4, 2, 1)


class VadParameters(data.Struct):
    """Registers, ``init`` is their default; units in `models.audio.vad.VadParameters`.

    May change at any time, and count from the next band on.  ``onset`` and ``hangover`` are not 0.
    """

    margin: unsigned(8) = 6
    minimum: unsigned(LEVEL_BITS) = 112
    rise: unsigned(8) = 16
    decay: unsigned(8) = 9
    onset: unsigned(6) = 6
    hangover: unsigned(6) = 30


class BandMonitor(data.Struct):
    """What the detector knows about a band: the level is UQ5.4, floor and peak UQ5.10.

    Floor and peak are those that the level was compared with.
    """

    band: unsigned(3)
    level: unsigned(LEVEL_BITS)
    floor: unsigned(TRACK_BITS)
    peak: unsigned(TRACK_BITS)
    active: unsigned(1)


class VoiceActivityDetector(wiring.Component):
    """Decide every 256 samples whether there is speech.  Golden: `models.audio.vad`.

    A sample takes 2 to 6 cycles, the last one of a frame `LATENCY`; samples at 16 kHz are 64 cycles
    of the audio clock apart.  Runs in domain ``sync``; everything else of the chip may be off.

    Attributes
    ----------
    LATENCY : int
        Cycles from the transfer of a frame's last sample to ``decided``.

    Members
    -------
    samples : In(stream of signed(16))
        At 16 kHz.
    parameters : In(VadParameters)
        Registers.
    speech : Out(1)
        From a flip-flop: there is speech, or was at most ``hangover`` frames ago.
    wake : Out(1)
        From a flip-flop, for the PMU: the first frame (16 ms) of ``speech``.
    decided : Out(1)
        In the first cycle of a new ``speech``.
    tracked : Out(1)
        ``monitor`` is new; once a band and frame.
    monitor : Out(BandMonitor)
        Holds until the next band.
    """

    LATENCY = 38

    samples: In(stream.Signature(signed(16)))
    parameters: In(VadParameters)
    speech: Out(1)
    wake: Out(1)
    decided: Out(1)
    tracked: Out(1)
    monitor: Out(BandMonitor)

    def __init__(self):
        super().__init__()
        self.index = Signal(FRAME_BITS)  # of the sample in work, within the frame
        self.band = Signal(range(BANDS))  # or level of the wavelet
        self.work = Signal(TOTAL_BITS)  # the sample in work, then the sum to be normalised
        self.frames = Signal(range(SETTLING_FRAMES + 1))
        self.active = Signal()
        self.count = Signal(6)
        self.step = Signal(range(len(SHIFTS)))
        self.exponent = Signal(5)

    def elaborate(self, platform):
        """Build the sequence: levels of a sample, then bands of a frame, then the decision."""
        m = Module()
        band, work = self.band, self.work
        totals = Array(Signal(TOTAL_BITS, name=f"total{b}") for b in range(BANDS))
        split, track = Signal(), Signal()
        low, magnitude = self.split(m, split)
        self.track(m, track)
        m.d.sync += [self.tracked.eq(track), self.decided.eq(0)]

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.samples.ready.eq(1)
                m.d.sync += work.eq(self.samples.payload)
                with m.If(self.samples.valid):
                    m.next = "SPLIT"
            with m.State("SPLIT"):
                odd = self.index.bit_select(band, 1)
                m.d.comb += split.eq(1)
                with m.If(~odd):
                    m.d.sync += [
                        totals[band].eq(totals[band] + magnitude),
                        work.eq(low),
                        band.eq(band + 1),
                    ]
                with m.If(odd | (band == BANDS - 1)):
                    m.d.sync += [self.index.eq(self.index + 1), band.eq(0), self.active.eq(0)]
                    m.next = "IDLE"
                    with m.If(self.index.all()):
                        m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += [
                    work.eq(totals[band]),
                    totals[band].eq(0),
                    self.exponent.eq(TOTAL_BITS - 1),
                    self.step.eq(0),
                ]
                m.next = "NORMALISE"
            with m.State("NORMALISE"):
                m.d.sync += self.step.eq(self.step + 1)
                with m.Switch(self.step):
                    for index, shift in enumerate(SHIFTS):
                        with m.Case(index):
                            with m.If(~work[-shift:].any()):
                                m.d.sync += [
                                    work.eq(work << shift),
                                    self.exponent.eq(self.exponent - shift),
                                ]
                with m.If(self.step == len(SHIFTS) - 1):
                    m.next = "TRACK"
            with m.State("TRACK"):
                m.d.comb += track.eq(1)
                m.d.sync += band.eq(band + 1)
                m.next = "LOAD"
                with m.If(band == BANDS - 1):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += [self.decided.eq(1), band.eq(0)]
                self.decide(m)
                m.next = "IDLE"

        if platform == "formal":
            self.promise(m, fsm)
        return m

    def split(self, m: Module, enable: Signal) -> tuple[Value, Value]:
        """One level of lifting: store the sample; return the next level's and the detail's size.

        Both are meaningful for even samples only.
        """
        even, odd = (
            Array(Signal(SAMPLE, name=f"{name}{b}") for b in range(BANDS))
            for name in ("even", "odd")
        )
        details = Array(Signal(DETAIL, name=f"detail{b}") for b in range(BANDS))
        band = self.band
        sample, detail, low = Signal(SAMPLE), Signal(DETAIL), Signal(SAMPLE)
        m.d.comb += [
            sample.eq(self.work[: len(sample)].as_signed()),
            detail.eq(odd[band] - ((even[band] + sample) >> 1)),
            low.eq(even[band] + ((details[band] + detail + 2) >> 2)),
        ]
        with m.If(enable):
            with m.If(self.index.bit_select(band, 1)):
                m.d.sync += odd[band].eq(sample)
            with m.Else():
                m.d.sync += [even[band].eq(sample), details[band].eq(detail)]
        return low, abs(detail)

    def track(self, m: Module, enable: Value) -> None:
        """Compare the normalised sum's level with the band's threshold, and move floor and peak."""
        floors, peaks = (
            Array(Signal(TRACK_BITS, name=f"{name}{b}") for b in range(BANDS))
            for name in ("floor", "peak")
        )
        spreads = Array(Const(spread, 5) for spread in SPREAD)
        p, band = self.parameters, self.band
        raw, level = Signal(LEVEL_BITS), Signal(TRACK_BITS)
        floor, peak = floors[band], peaks[band]
        above_floor, above_peak = Signal(signed(TRACK_BITS + 1)), Signal(signed(TRACK_BITS + 1))
        margin, span = Signal(TRACK_BITS), Signal(signed(TRACK_BITS))
        new_floor, new_peak = Signal(TRACK_BITS), Signal(TRACK_BITS)
        settling = self.frames != SETTLING_FRAMES
        active = ~settling & (above_floor > margin) & (above_floor > span)
        m.d.comb += [
            # Below the leading one; a sum of 0 has none.
            raw.eq(Mux(self.work[-1], Cat(self.work[-5:-1], self.exponent), 0)),
            level[FRACTION_BITS:].eq(Mux(raw < p.minimum, p.minimum, raw)),
            above_floor.eq(level - floor),
            above_peak.eq(level - peak),
            margin[FRACTION_BITS:].eq(p.margin + spreads[band]),
            span.eq((peak - floor) >> 1),
            new_floor.eq(
                Mux(
                    (above_floor < 0) | settling,
                    floor + (above_floor >> 2),
                    Mux(above_floor < p.rise, level, floor + p.rise),
                )
            ),
            new_peak.eq(
                Mux(
                    above_peak > 0,
                    peak + (above_peak >> 2),
                    Mux(-above_peak < p.decay, level, peak - p.decay),
                )
            ),
        ]
        first = Mux(self.frames == 0, level, new_floor)
        with m.If(enable):
            m.d.sync += [
                floor.eq(Mux(settling, first, new_floor)),
                peak.eq(Mux(settling, first, new_peak)),
                self.monitor.band.eq(band),
                self.monitor.level.eq(raw),
                self.monitor.floor.eq(floor),
                self.monitor.peak.eq(peak),
                self.monitor.active.eq(active),
                self.active.eq(self.active | active),
            ]

    def decide(self, m: Module) -> None:
        """Count active frames up and others down to the onset, then down from the hang-over."""
        p = self.parameters
        count, decremented = Signal(7), Mux(self.count == 0, 0, self.count - 1)
        speech = Signal()
        m.d.comb += [
            count.eq(Mux(self.active, self.count + 1, decremented)),
            speech.eq(Mux(self.speech, (count != 0) & (p.hangover != 0), count >= p.onset)),
        ]
        with m.If(self.frames != SETTLING_FRAMES):
            m.d.sync += self.frames.eq(self.frames + 1)
        with m.Else():
            limited = Mux(count > p.hangover, p.hangover, count)
            m.d.sync += [
                self.count.eq(
                    Mux(self.speech, limited, Mux(speech, p.hangover, count)),
                ),
                self.speech.eq(speech),
                self.wake.eq(speech & ~self.speech),
            ]

    def promise(self, m: Module, fsm) -> None:
        """Assert that every sample is finished in time, and what the outputs mean."""
        elapsed, position = Signal(range(64)), Signal(range(64))
        band, step, cycles = self.band, self.step, len(SHIFTS) + 2
        m.d.sync += elapsed.eq(Mux(fsm.ongoing("IDLE"), 1, elapsed + 1))
        frame = 2 + band * cycles
        m.d.comb += position.eq(elapsed)
        for state, cycle in {
            "SPLIT": 1 + band,
            "LOAD": frame,
            "NORMALISE": frame + 1 + step,
            "TRACK": frame + cycles - 1,
            "DECIDE": 2 + BANDS * cycles,
        }.items():
            with m.If(fsm.ongoing(state)):
                m.d.comb += position.eq(cycle)
        states = ("IDLE", "SPLIT", "LOAD", "NORMALISE", "TRACK", "DECIDE")
        below = Cat(self.index.bit_select(i, 1) & (i < band) for i in range(BANDS))
        m.d.sync += [
            Assert(Cat(fsm.ongoing(state) for state in states).any(), "no such state"),
            Assert(elapsed == position, "a step in another cycle than its own"),
            Assert(elapsed <= self.LATENCY, "a frame takes longer than stated"),
            Assert(fsm.ongoing("DECIDE") | (band < BANDS), "no such band"),
            Assert(step <= len(SHIFTS), "no such shift"),
            Assert(~fsm.ongoing("NORMALISE") | (step < len(SHIFTS)), "a shift too many"),
            Assert(~fsm.ongoing("IDLE") | (band == 0), "a sample that begins at another level"),
            Assert(~fsm.ongoing("SPLIT") | ~below.any(), "a level that is not due"),
            Assert(~self.wake | self.speech, "woken by nothing"),
            Assert(self.frames <= SETTLING_FRAMES, "settling for ever"),
        ]
