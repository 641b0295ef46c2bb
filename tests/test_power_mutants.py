"""Every isolation, reset and retention is needed: without it, what the chip does goes wrong."""

from pathlib import Path

import numpy as np
import pytest

import mmsp.zoo
from hdl.audio.domain import AudioMode
from hdl.audio.feature_window import WindowConstants
from hdl.config import ACT_BANKS, SMALL
from hdl.power.domains import Gating, Mode
from mmsp.compiler.placement import Placement
from mmsp.imaging.targets import TARGETS, Registers, Scaling
from mmsp.simulator import ChipModel, SimulationError
from mmsp.simulator.audio import ChipAudio
from mmsp.simulator.image import JPEG, RECEIVE, TENSOR, ChipImage
from mmsp.simulator.simulator import Simulator
from models.audio.feature_window import WindowPlace, feature_windows
from models.audio.frontend import PRESETS
from models.audio.pipeline import FeatureStream
from models.image.dvp import DvpConfig
from models.image.jpeg import JpegSettings
from models.image.pipeline import Settings
from models.image.scaler import Crop
from verif.bench import log_uniform
from verif.dvp_camera import Blanking, film
from verif.frontend_tables import constants_of, table_rows
from verif.microphone_registers import EXACT_MICROPHONE, config_bits
from verif.sim import simulation_seed
from verif.tampered_chip import TamperedChip, mutants

pytestmark = pytest.mark.sim

DIGITS = Path(mmsp.zoo.__file__).with_name("digits.tflite")
MUTANTS = mutants(SMALL)
WRONG_BIT = 77
PAUSE = 4  # periods of the always-on clock
AON_RATIO = 16  # core cycles in one: any that leaves the crossings their two is as good
FULL_MASK = (1 << SMALL.activation_segments) - 1
FRONT_END, FRAMES = PRESETS["tflm_micro"], 2
PLACE = WindowPlace(
    base=3, row0=1, row_values=FRONT_END.values, row_words=11, word_bytes=SMALL.rows
)
QUIET = 2_000  # periods of the always-on clock
CAMERA = DvpConfig(width=32, height=24, bits=12)
REGISTERS = Registers(
    Settings(order="BGGR"), Scaling(Crop(2, 1, 28, 20), 14, 10), jpeg=JpegSettings()
)
PICTURE = Placement(pixels=(10, 14, 3), word_bytes=SMALL.rows, packed=True, base=7, row0=2)


def go(model, mode):
    model.enter(mode)
    model.wait(PAUSE)


def sleep_and_return(model):
    go(model, Mode.SLEEP)
    go(model, Mode.INFER)


def scenario(model, image, words, values, expected, sound, view):
    """Sleep, keep what is to be kept, work, and sleep again; wrong results are assertions."""
    sleep_and_return(model)

    # Contents that the host left survive pauses and sleep, in every segment.
    model.set_policy(Gating.PER_BURST, FULL_MASK, FULL_MASK)
    banks = np.repeat(np.arange(ACT_BANKS), SMALL.bank_words)
    addresses = np.tile(np.arange(SMALL.bank_words), ACT_BANKS)
    model.write_activations(banks, addresses, words)
    model.wait(PAUSE)
    assert (model.read_activations(banks, addresses) == words).all(), "lost while the chip rested"
    sleep_and_return(model)
    assert (model.read_activations(banks, addresses) == words).all(), "lost in sleep"

    # A run that corrects a bit; the count of it survives.
    for _ in range(2):
        bank, address, data = values
        model.write_activations(bank, address, data)
        model.run(image.program.first_word)
        bank, address, data = expected
        assert (model.read_activations(bank, address) == data).all(), "wrong results"
        assert model.corrected == 1, "the count of corrected bits in a run"
        sleep_and_return(model)
        assert model.corrected == 1, "the count of corrected bits is lost"

    # The front ends, twice: what the second time finds must not be left from the first.
    for _ in range(2):
        hears(model, *sound)
        sees(model, *view)


def hears(model, pcm, windows):
    """The front end begins anew, and its windows are the golden model's."""
    audio = ChipAudio(model)
    model.enter(Mode.AUDIO_INFER)
    audio.enter(AudioMode.OFF)
    audio.forget()
    audio.write("microphone", config_bits(EXACT_MICROPHONE, pdm=False))
    audio.write("constants", constants_of(FRONT_END, SMALL.audio))
    fields = {name: getattr(PLACE, name) for name in ("base", "row0", "row_values", "row_words")}
    fields |= {"values": FRAMES * FRONT_END.values, "frames": FRAMES, "stride": 1}
    audio.write("place", WindowConstants(SMALL.audio.window, SMALL.bank_address_bits)
                .const(fields).as_bits())  # fmt: skip
    audio.write_tables(table_rows(FRONT_END, SMALL.audio))
    audio.enter(AudioMode.FEATURES)
    audio.hear(pcm)
    there = iter(audio.windows.each(QUIET))
    for window in windows:
        assert next(there, "none") is None, "a window did not come"
        bank, address, data = PLACE.words(window)
        assert (model.read_activations(bank, address) == data).all(), "wrong features"
    assert not audio.losses
    model.enter(Mode.AUDIO_INFER)
    audio.hush()
    model.call("clear_wake")
    model.enter(Mode.INFER)  # switched off as it stands
    model.wait(PAUSE)


def sees(model, frame, made):
    """The camera's picture becomes the golden model's tensor and file."""
    model.enter(Mode.IMAGE_INFER)
    image = ChipImage(model)
    image.configure(CAMERA, REGISTERS, PICTURE)
    image.enter(RECEIVE | TENSOR | JPEG)
    image.film(film(np.random.default_rng(1), [frame], Blanking(line=6, back=3000)), CAMERA)
    there = iter(image.windows.each(QUIET, asleep=False))
    assert next(there, "none") is None, "a tensor did not come"
    assert (model.read_activations(*PICTURE.addresses()) == PICTURE.pack(made.tensor)).all()
    while image.unseen:
        model.wait(1)
    assert image.files == [made.jpeg], "a wrong file"
    assert not image.losses
    model.enter(Mode.INFER)  # switched off as it stands
    model.wait(PAUSE)


def make_stimulus():
    """Image, host's words, input and output of a run, from an untouched chip."""
    rng = np.random.default_rng(simulation_seed())
    words = rng.integers(1, 256, (ACT_BANKS * SMALL.bank_words, SMALL.rows)).astype(np.uint8)
    with Simulator(DIGITS, SMALL) as simulator:
        (source,), (sink,) = simulator.description.inputs, simulator.description.outputs
        values = rng.integers(-128, 128, source.shape).astype(np.int8)
        simulator.run(values)
        places = []
        for port in (source, sink):
            placement = simulator.description.tensors[port.tensor].placement
            bank, address = placement.addresses()
            places.append((bank, address, simulator.chip.read_activations(bank, address)))
        image = simulator.image
    # The input may have been overwritten by the run.
    placement = simulator.description.tensors[source.tensor].placement
    places[0] = (*places[0][:2], placement.pack(source.rearrange(source.to_inside(values))))
    pcm = log_uniform(rng, bits=16, size=FRONT_END.frame + (FRAMES + 1) * FRONT_END.step).astype(
        np.int16
    )
    windows = feature_windows(FeatureStream(FRONT_END).push(pcm), FRAMES, 1)
    frame = rng.integers(0, 4096, (CAMERA.height, CAMERA.width))
    (made,) = TARGETS["golden"]([frame], REGISTERS)
    return image, words, *places, (pcm, windows), (frame, made)


@pytest.fixture(scope="module")
def stimulus():
    print(f"seed {simulation_seed()}")
    return make_stimulus()


def tampered_chip():
    return TamperedChip(SMALL)


def tampered_model(image, mutant):
    model = ChipModel(SMALL, design=tampered_chip, aon_ratio=AON_RATIO)
    model.program(image.resident)
    model.flip(image.program.first_word + 5, [WRONG_BIT])
    model.call("mutant", mutant)
    return model


def test_a_chip_without_a_fault_passes(stimulus):
    with tampered_model(stimulus[0], 0) as model:
        scenario(model, *stimulus)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_every_protection_is_missed(stimulus, mutant):
    with (
        tampered_model(stimulus[0], MUTANTS.index(mutant) + 1) as model,
        pytest.raises((SimulationError, AssertionError)) as caught,
    ):
        scenario(model, *stimulus)
    print(f"{mutant}: {str(caught.value).splitlines()[0]}")
