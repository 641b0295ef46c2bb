# amaranth: UnusedElaboratable=no

"""The camera receiver: frames out of pins, faults flagged and survived."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import hdl.image.dvp as hardware
from hdl.image.dvp import DvpConfig, DvpReceiver
from hdl.image.pixels import PIXEL_BITS, FrameSize
from models.image.bayer import MAX_HEIGHT, MAX_WIDTH, align
from models.image.dvp import FAULTS, receive
from models.image.dvp import DvpConfig as Description
from verif.dvp_camera import Blanking, CameraFault, blank_pins, film, frame_pins, join, wide
from verif.formal import prove
from verif.sim import simulate

CONFIG = Description(width=6, height=5, bits=10)
RAISED = {
    CameraFault.NONE: None,
    CameraFault.SHORT_LINE: "short_line",
    CameraFault.LONG_LINE: "long_line",
    CameraFault.FEW_LINES: "few_lines",
    CameraFault.MORE_LINES: "missing_vsync",
    CameraFault.NO_VSYNC: "missing_vsync",
    CameraFault.CUT: "short_line",
    CameraFault.EMPTY: "few_lines",
}


def received(pins, config=CONFIG):
    driven = pins.polarised(config)
    return receive(driven.vsync, driven.href, driven.data, config)


@pytest.mark.parametrize("fault", CameraFault)
def test_model_flags_each_fault(rng, fault):
    """The frame before and the one after are there; the model's own definition of right."""
    frames = rng.integers(0, 1 << CONFIG.bits, (3, CONFIG.height, CONFIG.width))
    kinds = (CameraFault.NONE, fault, CameraFault.NONE)
    blanking = Blanking(vsync=4, front=5, line=3, back=6, fixed=False)
    pins = [frame_pins(rng, *each) for each in zip(frames, [blanking] * 3, kinds, strict=True)]
    found = received(join([*pins, blank_pins(rng, 1, vsync=True)]))
    more = fault in (CameraFault.NONE, CameraFault.MORE_LINES)
    kept = frames if more else frames[[0, 2]]
    np.testing.assert_array_equal(found.frames, [align(frame, CONFIG.bits) for frame in kept])
    assert found.faults == {name: int(name == RAISED[fault]) for name in FAULTS}


def test_model_needs_a_vsync(rng):
    """Lines in front of the first one are nothing, and polarities matter."""
    frame = rng.integers(0, 1 << CONFIG.bits, (CONFIG.height, CONFIG.width))
    whole = film(rng, [frame])
    headless = film(rng, [frame], faults=[CameraFault.NO_VSYNC])
    assert received(headless).frames == []
    assert received(headless).dropped == 0
    assert len(received(join([headless, whole])).frames) == 1
    for low in ({"vsync_low": True}, {"href_low": True}):
        other = Description(width=6, height=5, bits=10, **low)
        assert len(received(whole, other).frames) == 1
        assert receive(whole.vsync, whole.href, whole.data, other).frames == []


@pytest.mark.parametrize("field", ["width", "height", "bits"])
def test_model_refuses(field):
    with pytest.raises(ValueError, match=rf"{field} must be in \d+\.\.\d+, not 2000"):
        Description(**({"width": 8, "height": 8} | {field: 2000}))


def test_wide_pixels():
    """14 bits as 12 pins have them: what `align` makes of either is the same."""
    raw = np.arange(1 << 16).reshape(256, 256)
    for bits in range(8, 17):
        pins = wide(raw, bits)
        np.testing.assert_array_equal(align(pins, min(bits, PIXEL_BITS)), align(raw, bits))


def test_both_have_the_same_limits():
    assert (hardware.MAX_WIDTH, hardware.MAX_HEIGHT) == (MAX_WIDTH, MAX_HEIGHT)
    assert list(hardware.DvpFaults.as_shape().members)[:4] == list(FAULTS)


@pytest.mark.sim
def test_receiver_matches_model():
    simulate(DvpReceiver(), bench="verif.tb_image_dvp", name="image_dvp")


class FreePins(wiring.Component):
    """A receiver with any pins, whose registers change when they may."""

    enable: In(1)
    config: In(DvpConfig)
    size: In(FrameSize)
    vsync: In(1)
    href: In(1)
    data: In(PIXEL_BITS)
    clear: In(1)
    abort: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = DvpReceiver()
        size, was_enabled = Signal(FrameSize), Signal()
        for name in ("enable", "config", "vsync", "href", "data", "clear"):
            m.d.comb += getattr(receiver, name).eq(getattr(self, name))
        m.d.sync += was_enabled.eq(self.enable)
        with m.If(~self.enable & ~was_enabled & ~receiver.busy):
            m.d.sync += size.eq(self.size)
        m.d.comb += [receiver.size.eq(size), self.abort.eq(receiver.abort)]
        return m


@pytest.mark.formal
def test_receiver_proof():
    """Frames leave whole or are dropped, whatever the pins do."""
    prove(FreePins(), name="dvp_receiver")
