"""Frames of pixels into and out of the stages of the image front end, with gaps anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from numpy.typing import ArrayLike, NDArray

__all__ = ["BACK_TO_BACK", "Blanking", "FrameMonitor", "FrameSource", "pixel_words"]


@dataclass(frozen=True)
class Blanking:
    """Clocks in which no pixel comes.

    Attributes
    ----------
    pixels : float
        Probability of each clock in front of a pixel to be idle.
    line, frame : int
        Idle clocks behind each line, and more of them behind the frame.
    """

    pixels: float = 0.0
    line: int = 0
    frame: int = 0


BACK_TO_BACK = Blanking()


def pixel_words(frame: ArrayLike, bits: int) -> NDArray[np.int64]:
    """Payloads of a frame's pixels as `hdl.image.pixels` lays them out, flags included.

    ``frame`` is ``(rows, columns)`` or ``(rows, columns, channels)`` of ``bits`` bits each, at
    most 62 in all with the flags; the result has one word a pixel, in raster order.
    """
    values = np.asarray(frame, dtype=np.int64)
    rows, columns = values.shape[:2]
    values = values.reshape(rows, columns, -1)
    channels = values.shape[2]
    words = (values << (bits * np.arange(channels))).sum(axis=2)
    words[:, -1] |= 1 << (bits * channels)
    words[-1] |= 1 << (bits * channels + 1)
    return words.reshape(-1)


class FrameSource:
    """Feeds frames to a port of pixels.

    While no pixel is valid the payload is noise, flags included.

    Parameters
    ----------
    dut
        The design.
    name : str
        Port of a `hdl.image.pixels.pixel_stream`.
    bits : int
        Of one value.
    rng : numpy.random.Generator
        Of gaps and noise.
    """

    def __init__(self, dut, name: str, bits: int, rng: np.random.Generator):
        self.clk = dut.clk
        self.valid, self.payload = dut[f"{name}__valid"], dut[f"{name}__payload"]
        self.bits, self.rng = bits, rng
        self.valid.value = 0

    async def send(
        self,
        frame: ArrayLike,
        blanking: Blanking = BACK_TO_BACK,
        *,
        pixels: int | None = None,
        gaps: Mapping[int, int] | None = None,
    ) -> None:
        """Send a frame, or its first ``pixels`` pixels; returns in the last one's clock's edge.

        The blanking behind the last line is waited for, that of a frame cut short is not.
        ``gaps`` are more idle clocks in front of pixels, by their index.
        """
        words = pixel_words(frame, self.bits)
        width = np.asarray(frame).shape[1]
        for index, word in enumerate(words[:pixels].tolist()):
            while blanking.pixels and self.rng.random() < blanking.pixels:
                await self.idle(1)
            if gaps and index in gaps:
                await self.idle(gaps[index])
            self.payload.value = word
            self.valid.value = 1
            await RisingEdge(self.clk)
            self.valid.value = 0
            if blanking.line and (index + 1) % width == 0:
                await self.idle(blanking.line)
        if pixels is None or pixels >= len(words):
            await self.idle(blanking.frame)

    async def idle(self, clocks: int) -> None:
        """Let clocks pass without a pixel."""
        for _ in range(clocks):
            self.valid.value = 0
            self.payload.value = int(self.rng.integers(1 << len(self.payload)))
            await RisingEdge(self.clk)


class FrameMonitor:
    """Collects the frames that leave a port of pixels, from the reset on.

    A frame ends with the pixel that has both flags; all its flags must then be right.

    Parameters
    ----------
    dut, name
        As for `FrameSource`.
    bits, channels : int
        Of one value; values of a pixel.
    abort : str, optional
        Name of a port that takes back the pixels of the frame in progress.
    beside : str, optional
        Name of a port of one bit that goes with each pixel.

    Attributes
    ----------
    frames : list of IntArray
        Complete ones: ``(rows, columns)``, and ``channels`` behind if there is more than one.
    beside_frames : list of IntArray
        The same of ``beside``.
    words : list of int
        Pixels of the frame in progress.
    aborted : int
        Frames that were taken back after at least one pixel.
    """

    def __init__(
        self,
        dut,
        name: str,
        bits: int,
        channels: int = 1,
        *,
        abort: str | None = None,
        beside: str | None = None,
    ):
        self.clk, self.rst = dut.clk, dut.rst
        self.name = name
        self.valid, self.payload = dut[f"{name}__valid"], dut[f"{name}__payload"]
        self.abort = dut[abort] if abort else None
        self.beside = dut[beside] if beside else None
        self.bits_beside: list[bool] = []
        self.beside_frames: list[NDArray[np.int64]] = []
        self.bits, self.channels = bits, channels
        self.frames: list[NDArray[np.int64]] = []
        self.words: list[int] = []
        self.aborted = 0
        cocotb.start_soon(self.collect())

    async def collect(self) -> None:
        """Take a pixel whenever there is one."""
        ends = 3 << (self.bits * self.channels)
        while True:
            await RisingEdge(self.clk)
            if self.rst.value == 1:
                continue
            valid = self.valid.value == 1
            if self.abort is not None and self.abort.value == 1:
                assert not valid, f"{self.name}: a pixel with the abort"
                self.aborted += bool(self.words)
                self.words, self.bits_beside = [], []
            if valid:
                word = self.payload.value.to_unsigned()
                self.words.append(word)
                if self.beside is not None:
                    self.bits_beside.append(self.beside.value == 1)
                if word & ends == ends:
                    self.end_frame()

    def end_frame(self) -> None:
        """Keep a complete frame."""
        frame = self.assemble(self.words)
        self.frames.append(frame)
        if self.beside is not None:
            bits = np.array(self.bits_beside, dtype=np.int64)
            self.beside_frames.append(bits.reshape(frame.shape[:2]))
        self.words, self.bits_beside = [], []

    def assemble(self, words: Sequence[int]) -> NDArray[np.int64]:
        """Shape a complete frame's pixels; its flags give the width."""
        payload = np.array(words, dtype=np.int64)
        value_bits = self.bits * self.channels
        width = int(np.argmax((payload >> value_bits) & 1)) + 1
        assert len(payload) % width == 0, (
            f"{self.name}: {len(payload)} pixels are not lines of {width}"
        )
        each = (payload[:, None] >> (self.bits * np.arange(self.channels))) & ((1 << self.bits) - 1)
        frame = each.reshape(-1, width, self.channels)
        np.testing.assert_array_equal(
            payload, pixel_words(frame, self.bits), f"{self.name}: flags of a frame"
        )
        return frame[:, :, 0] if self.channels == 1 else frame

    async def receive(self, count: int) -> list[NDArray[np.int64]]:
        """Wait for ``count`` more frames than were taken, and take them."""
        while len(self.frames) < count:
            await RisingEdge(self.clk)
        taken, self.frames = self.frames[:count], self.frames[count:]
        return taken
