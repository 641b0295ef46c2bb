"""The configurations of the chip: frozen parameter sets that are also the test matrix."""

from dataclasses import dataclass, field

from amaranth.utils import ceil_log2

from hdl.audio.config import AudioConfig

__all__ = [
    "ACT_BANKS",
    "CONFIGS",
    "ECP5",
    "FULL",
    "MOST_SEGMENTS",
    "MRAM_WORD_BYTES",
    "SMALL",
    "ChipConfig",
]

MRAM_WORD_BYTES = 16
"""Data bytes of an MRAM word: the program and the weights arrive in units of this size."""

ACT_BANKS = 4
"""Activation banks: row ``h`` of a tensor lives in bank ``(h + row_offset) % ACT_BANKS``."""


MOST_SEGMENTS = 4
"""Segments of the activation memory that a descriptor has bits for."""


@dataclass(frozen=True, kw_only=True)
class ChipConfig:
    """Sizes of one chip.  All of them are fixed at elaboration.

    Parameters
    ----------
    name : str
        What ``--config`` takes.
    rows : int
        Rows of the multiplier array: output channels computed at once, and bytes of an activation
        word.  One of 4, 8, 16.
    lanes : int
        Lanes of the multiplier array: products summed into one output a cycle.  3 to ``rows``.
    requantizers : int
        Outputs rescaled to int8 in one cycle.  Divides ``rows``.
    accumulator_depth : int
        Output pixels that one weight tile serves before the next is swapped in.  At least 2.
    activation_kib : int
        Activation memory, all banks together.
    cache_kib : int
        Weight cache between the MRAM and the engine.
    mram_kib : int
        MRAM for program and weights.
    mram_latency : int
        Core cycles from a read request to its corrected data, at least 2: the last one is the
        ECC's.  At 50 MHz the published 5.9 ns random read (Renesas 22 nm STT-MRAM, ISSCC 2024) fits
        one; the default leaves another for routing.
    mram_wakeup : int
        Core cycles that a bank takes from its supply to its first access.  The default is 1 us at
        50 MHz, an assumption: published precedents lie between 1 ns and 33 us.
    mram_banks : int
        Banks, each with a power switch of its own.  The bank is the top bits of a word address.
    mram_write_cycles : int
        Core cycles that a bank takes to write one word: 16 bytes at the published 10.4 MB/s
        (Renesas 22 nm STT-MRAM, ISSCC 2024) are 1.54 us, 77 cycles at 50 MHz.
    activation_segments : int
        Stretches of the activation memory with a power switch of their own; each goes across all
        banks.
    audio : AudioConfig
        What the audio front end can compute.
    """

    name: str
    rows: int
    lanes: int
    requantizers: int
    accumulator_depth: int
    activation_kib: int
    cache_kib: int
    mram_kib: int
    mram_latency: int = 3
    mram_wakeup: int = 50
    mram_banks: int = 8
    mram_write_cycles: int = 77
    activation_segments: int = 4
    audio: AudioConfig = field(default_factory=AudioConfig)

    def __post_init__(self):
        if self.rows not in (4, 8, 16):
            raise ValueError(f"rows must be 4, 8 or 16, not {self.rows!r}")
        if self.lanes not in range(3, self.rows + 1):
            raise ValueError(f"lanes must be in 3..{self.rows} (rows), not {self.lanes!r}")
        if self.requantizers < 1 or self.rows % self.requantizers:
            raise ValueError(
                f"requantizers must divide rows ({self.rows}), and {self.requantizers!r} does not"
            )
        if self.accumulator_depth < 2:
            raise ValueError(f"accumulator_depth must be at least 2, not {self.accumulator_depth}")
        for name in (
            "activation_kib", "cache_kib", "mram_kib", "mram_wakeup", "mram_write_cycles",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if self.mram_latency < 2:
            raise ValueError(f"mram_latency must be at least 2, not {self.mram_latency!r}")
        if self.mram_banks < 2 or self.mram_banks & (self.mram_banks - 1):
            raise ValueError(
                f"mram_banks must be a power of two of at least 2, not {self.mram_banks!r}"
            )
        if self.activation_segments not in range(1, MOST_SEGMENTS + 1):
            raise ValueError(
                f"activation_segments must be in 1..{MOST_SEGMENTS}, "
                f"not {self.activation_segments!r}"
            )

    @property
    def macs_per_cycle(self) -> int:
        """Multiplications the array does in one cycle."""
        return self.rows * self.lanes

    @property
    def bank_words(self) -> int:
        """Words of one activation bank; a word is ``rows`` bytes."""
        return self.activation_kib * 1024 // (ACT_BANKS * self.rows)

    @property
    def bank_address_bits(self) -> int:
        """Width of a word address within one activation bank."""
        return ceil_log2(self.bank_words)

    @property
    def cache_words(self) -> int:
        """MRAM words that the weight cache holds."""
        return self.cache_kib * 1024 // MRAM_WORD_BYTES

    @property
    def mram_words(self) -> int:
        """MRAM words of 128 data bits."""
        return self.mram_kib * 1024 // MRAM_WORD_BYTES

    @property
    def mram_address_bits(self) -> int:
        """Width of an MRAM word address."""
        return ceil_log2(self.mram_words)

    @property
    def mram_bank_words(self) -> int:
        """Words of one MRAM bank."""
        return self.mram_words // self.mram_banks

    @property
    def mram_bank_address_bits(self) -> int:
        """Width of a word address within one MRAM bank: the low bits of an MRAM word address."""
        return ceil_log2(self.mram_bank_words)

    @property
    def segment_words(self) -> int:
        """Words of one activation bank that lie in one segment, a power of two.

        Segment ``k`` holds addresses ``k * segment_words`` to ``(k + 1) * segment_words - 1`` of
        all banks; with a memory whose size is no power of two the last ones are smaller, or empty.
        """
        return 1 << ceil_log2(-(-self.bank_words // self.activation_segments))

    @property
    def lanes_per_word(self) -> int:
        """Array lanes that one MRAM word of weights fills: each lane takes ``rows`` bytes."""
        return MRAM_WORD_BYTES // self.rows

    @property
    def window_rows(self) -> int:
        """Kernel rows of three taps that the lanes hold at once in the window (depthwise) feed."""
        return min(self.lanes // 3, ACT_BANKS - 1)


FULL = ChipConfig(
    name="FULL", rows=16, lanes=16, requantizers=16, accumulator_depth=64,
    activation_kib=128, cache_kib=16, mram_kib=2048,
)  # fmt: skip
"""The published chip's size: 256 MAC/cycle, 128 KiB activations, 2 MB MRAM."""

ECP5 = ChipConfig(
    name="ECP5", rows=16, lanes=6, requantizers=8, accumulator_depth=512,
    activation_kib=128, cache_kib=16, mram_kib=2048, activation_segments=1,
)  # fmt: skip
"""What fits an LFE5U-85F: 96 MAC/cycle; a block RAM is 512 deep, so are the accumulators."""

SMALL = ChipConfig(
    name="SMALL", rows=4, lanes=4, requantizers=2, accumulator_depth=16,
    activation_kib=32, cache_kib=1, mram_kib=128,
)  # fmt: skip
"""16 MAC/cycle, for seconds-fast tests and proofs."""

CONFIGS = {config.name: config for config in (FULL, ECP5, SMALL)}
