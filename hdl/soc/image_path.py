"""Images in the chip: two power domains, their registers, and words for the activation memory."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.audio.table import TablePort
from hdl.config import ChipConfig
from hdl.image.block_sums import BLOCK_COLUMNS, BLOCK_ROWS
from hdl.image.change import ChangeResult
from hdl.image.colour import COLOUR_MATRIX
from hdl.image.domain import ImageDomain, ImageMode, ImageStatus, gamma_knot
from hdl.image.dvp import DvpConfig
from hdl.image.encoder import PictureEncoder
from hdl.image.image_block import PINS
from hdl.image.jpeg_codes import CODE_ROWS, HuffmanCode
from hdl.image.jpeg_quantiser import TABLES, Reciprocal
from hdl.image.jpeg_words import (
    BLOCK_SAMPLES,
    HEADER_WORDS,
    WORD_BYTES,
    JpegSettings,
    file_word,
)
from hdl.image.link import ImageLink
from hdl.image.pixels import BYTE_BITS, PIXEL_BITS, FrameSize
from hdl.image.raw_pipeline import RAW_SETTINGS
from hdl.image.statistics import FRAME_STATISTICS
from hdl.image.tensor_path import TensorSettings
from hdl.soc.islands import Islands

__all__ = ["ImagePins", "ImagePort", "connect_image"]

PULSES = ("clear", "restart", "resume")
RESULTS = ("change", "map", "statistics")
LINK_STATE = ("status", "changed", "measured")
JPEG_TABLES = {
    "header": TablePort(HEADER_WORDS, unsigned(WORD_BYTES * BYTE_BITS)),
    "quantisers": TablePort(TABLES * BLOCK_SAMPLES, Reciprocal),
    "codes": TablePort(CODE_ROWS, HuffmanCode),
}
JPEG_STATE = ("done", "failed", "idle")


class ImagePins(wiring.Signature):
    """A camera's wires on its own clock, seen from the camera: see `hdl.image.dvp.DvpReceiver`."""

    def __init__(self):
        super().__init__({"vsync": Out(1), "href": Out(1), "data": Out(PIXEL_BITS)})


class ImagePort(wiring.Signature):
    """What the core orders, and what it is told, seen from who orders.

    Members
    -------
    mode, config, size, raw, matrix, tensor, hold, map_row : Out
        Registers of `hdl.image.domain.ImageDomain`.
    knots : Out(stream of gamma_knot())
    clear, restart, resume : Out(1)
        Pulses: `hdl.image.domain.ImageCommand`.
    status : In(ImageStatus)
    changed, measured : In(1)
        Pulses: new ``change`` and ``map``, new ``statistics``.
    change, map, statistics : In
        Of the camera's clock, constant from these pulses until the next frame ends.
    jpeg : Out(JpegSettings), and tables header, quantisers, codes; file : In(stream of file_word())
    jpeg_done, jpeg_failed, jpeg_idle : In(1)
        Of `hdl.image.jpeg.JpegEncoder`.
    """

    def __init__(self, config: ChipConfig):
        super().__init__(
            {
                "mode": Out(ImageMode),
                **{name: Out(layout) for name, layout in registers(config).items()},
                "hold": Out(1),
                "map_row": Out(range(BLOCK_ROWS)),
                "knots": Out(stream.Signature(gamma_knot())),
                **{name: Out(1) for name in PULSES},
                "status": In(ImageStatus),
                "changed": In(1),
                "measured": In(1),
                "change": In(ChangeResult),
                "map": In(BLOCK_COLUMNS),
                "statistics": In(FRAME_STATISTICS),
                "jpeg": Out(JpegSettings),
                **{name: Out(table) for name, table in JPEG_TABLES.items()},
                "file": In(stream.Signature(file_word())),
                **{f"jpeg_{name}": In(1) for name in JPEG_STATE},
            }
        )


def registers(config: ChipConfig) -> dict:
    """Layouts of the registers of an `ImageDomain`."""
    return {
        "config": DvpConfig,
        "size": FrameSize,
        "raw": RAW_SETTINGS,
        "matrix": COLOUR_MATRIX,
        "tensor": TensorSettings(config.bank_address_bits),
    }


def connect_image(m: Module, islands: Islands, config: ChipConfig, port, pins) -> tuple:
    """Make both domains and what is between them; return words for the memory, and the wake-up.

    Parameters
    ----------
    m : Module
        The chip's.
    islands : Islands
        Who puts the domains behind their switches.
    config : ChipConfig
        Of the chip.
    port, pins : interfaces of ImagePort(config), ImagePins()
        The chip's own, as they are inside.
    """
    block = ImageDomain(config.rows, config.bank_address_bits)
    link = ImageLink(block)
    domain = islands.coarse("image", block)
    encoder = islands.coarse("jpeg", PictureEncoder())
    m.submodules.image_link = link
    connect(m, domain.o, link.words)
    connect(m, link.knots, domain.knots)
    connect(m, link.commands, domain.commands)
    connect(m, flipped(port.knots), link.i)
    connect(m, link.events, encoder.events)
    connect(m, encoder.o, flipped(port.file))
    for name in JPEG_TABLES:
        connect(m, flipped(getattr(port, name)), getattr(encoder, name))
    for name in (*registers(config), "mode", "hold", "map_row"):
        m.d.comb += getattr(domain, name).eq(getattr(port, name))
    m.d.comb += [getattr(domain, name).eq(getattr(pins, name)) for name in PINS]
    m.d.comb += [getattr(link, name).eq(getattr(port, name)) for name in PULSES]
    m.d.comb += [getattr(port, name).eq(getattr(domain, name)) for name in RESULTS]
    m.d.comb += [getattr(port, name).eq(getattr(link, name)) for name in LINK_STATE]
    m.d.comb += [getattr(port, f"jpeg_{name}").eq(getattr(encoder, name)) for name in JPEG_STATE]
    m.d.comb += [
        link.encoder.eq(domain.encoder),
        link.domain_status.eq(domain.status),
        link.change_done.eq(domain.change_done),
        link.statistics_done.eq(domain.statistics_done),
        link.encoder_dropped.eq(encoder.dropped),
        domain.file_dropped.eq(link.file_dropped),
        encoder.settings.eq(port.jpeg),
    ]
    return link.o, domain.wake
