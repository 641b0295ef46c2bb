"""The chip hears: from a microphone's pins through features to a network, asleep in between."""

import json

import numpy as np
import pytest
import soundfile
from judge import activation, constant, fully_connected, network, random_int8
from published import DATA, needs_data
from test_cli_errors import fails

from hdl.audio.domain import AudioMode
from hdl.audio.vad import VadParameters as VadRegisters
from hdl.config import SMALL
from hdl.power.domains import Mode, WakeSource
from mmsp.audio.listening import Listener
from mmsp.cli import main
from mmsp.importers.tflite_writer import write_tflite
from mmsp.inputs import make_batch
from mmsp.loading import load_model
from mmsp.references import golden_outputs
from mmsp.simulator import ChipModel
from mmsp.simulator.audio import ChipAudio
from mmsp.simulator.simulator import Simulator
from models.audio.frontend import PRESETS
from models.audio.vad import VadParameters, VoiceActivityDetector
from verif.microphone_registers import EXACT_MICROPHONE, config_bits

MICRO, KWS = PRESETS["tflm_micro"], PRESETS["mlperf_kws"]
FRAMES = 3
RATE = 16_000


def listening_network(rng, channels=4):
    """Scores of three frames of the micro front end, flat."""
    source = activation("sound", (1, FRAMES * MICRO.values), MICRO.scale, MICRO.zero_point)
    weights = constant("weights", random_int8(rng, (channels, FRAMES * MICRO.values)), (0.01,))
    node = fully_connected(source, weights, None, activation("scores", (1, channels), 8.0))
    return network(node, name="scores")


def noise(rng, seconds):
    """Noise of all magnitudes, in bursts."""
    count = int(seconds * RATE)
    loud = np.sin(np.arange(count) / 700) > 0
    limit = np.where(loud, 2.0 ** rng.uniform(8, 15, count), 30.0)
    return (limit * rng.uniform(-1, 1, count)).astype(np.int16)


def golden_scores(graph, listener, windows):
    """Outputs of the golden models for windows of features."""
    model, (port,) = load_model(graph, None), listener.simulator.description.inputs
    batch = make_batch({port.name: windows.reshape(-1, *port.shape)}, [port])
    return golden_outputs(model, batch)


def check(heard, listener, graph, expected):
    """Every window is there, with the outputs of the golden models."""
    assert not heard.losses
    assert len(heard.windows) == len(expected)
    for name, values in golden_scores(graph, listener, expected).items():
        found = np.stack([window.outputs[name] for window in heard.windows])
        np.testing.assert_array_equal(found, values)
        assert len(np.unique(found, axis=0)) > 1, "outputs that never change tell nothing"


@pytest.mark.sim
def test_windows_start_the_network(rng):
    graph, pcm = listening_network(rng), noise(rng, 0.18)
    with Simulator(graph, SMALL) as simulator:
        listener = Listener(simulator, MICRO, stride=1)
        check(listener.hear(pcm), listener, graph, listener.expected(pcm))
        assert simulator.chip.mode == Mode.INFER
        heard = listener.hear(pcm)  # a recording begins anew
        check(heard, listener, graph, listener.expected(pcm))
    assert len(heard.windows) == (len(pcm) - MICRO.frame) // MICRO.step + 1 - (FRAMES - 1)
    assert heard.elapsed.core < heard.elapsed.time / 2, "the core's clock runs between windows"
    assert heard.elapsed.audio == pytest.approx(heard.elapsed.aon * 125 / 4, abs=2000)


@pytest.mark.sim
def test_features_lie_in_the_memory(rng):
    graph, pcm = listening_network(rng), noise(rng, 0.15)
    with Simulator(graph, SMALL) as simulator:
        listener = Listener(simulator, MICRO, stride=2, automatic=False)
        heard = listener.hear(pcm)
        expected = listener.expected(pcm)
        check(heard, listener, graph, expected)
    np.testing.assert_array_equal([window.input for window in heard.windows], expected)


@pytest.mark.sim
def test_features_go_on_while_the_network_runs(rng, monkeypatch):
    """Runs that take longer than a frame: samples and frames come meanwhile, none is lost."""
    graph, pcm = listening_network(rng, channels=64), noise(rng, 0.18)
    with Simulator(graph, SMALL) as simulator:
        listener = Listener(simulator, MICRO, stride=4, automatic=False)
        run, said, busy = simulator.chip.run, [], []

        def run_for_long(address):
            before, began = listener.audio.unheard, listener.audio.elapsed.core
            cycles = 0
            while before - listener.audio.unheard <= MICRO.step and listener.audio.unheard:
                cycles += run(address).cycles
            said.append(before - listener.audio.unheard)
            busy.append(cycles / (listener.audio.elapsed.core - began + 1))

        monkeypatch.setattr(simulator.chip, "run", run_for_long)
        heard = listener.hear(pcm)
        check(heard, listener, graph, listener.expected(pcm))
    assert max(said) > MICRO.step
    assert max(busy) > 0.9, f"{busy} of the time is not spent running"


@pytest.mark.sim
def test_speech_wakes_the_chip(rng):
    quiet, loud = np.zeros(RATE // 4, np.int16), noise(rng, 0.4)
    pcm = np.concatenate([quiet, loud])
    spoken = VoiceActivityDetector().push(pcm)
    assert spoken.any(), "the sound must be speech"
    with ChipModel(SMALL) as chip:
        audio = ChipAudio(chip)
        chip.enter(Mode.AUDIO_INFER)
        audio.write("microphone", config_bits(EXACT_MICROPHONE, pdm=False))
        audio.write("vad", VadRegisters.const(vars(VadParameters())).as_value().value)
        audio.enter(AudioMode.WATCH)
        audio.windows.sleep()
        chip.wait(100)
        assert chip.mode == Mode.AUDIO_WATCH
        audio.hear(pcm)
        while audio.unheard > len(loud):
            chip.wait(50)
            assert chip.mode == Mode.AUDIO_WATCH, "silence wakes"
        asleep = audio.elapsed.core
        while chip.mode == Mode.AUDIO_WATCH:
            assert audio.unheard, "speech does not wake"
            chip.wait(10)
        assert audio.elapsed.core - asleep < audio.elapsed.time / 10
        assert chip.library.harness_wake_pending(chip.handle) == 1 << WakeSource.AUDIO.value
        assert audio.status.speech
        # Within a frame of the detector (256 samples) of the model's decision, and the wake-up.
        first = int(np.argmax(spoken)) * 256 + 256
        assert abs(len(pcm) - audio.unheard - first) < 512


@needs_data
@pytest.mark.sim
@pytest.mark.long
def test_a_minute_of_continuous_audio():
    """60 s through the pins of the FULL chip, keyword spotting on each second: no sample lost."""
    rng = np.random.default_rng(60)
    words, rate = soundfile.read(
        DATA / "snakers4-silero-vad/inputs/test_first12s.wav", dtype="int16"
    )
    assert rate == RATE
    pcm = np.tile(words, 5)
    pcm = (pcm * np.repeat(2.0 ** rng.uniform(-6, 0, 60), RATE)).astype(np.int16)
    path = DATA / "mlcommons-tiny/models/kws_ref_model.tflite"
    with Simulator(path, "FULL") as simulator:
        listener = Listener(simulator, KWS, stride=50)
        heard = listener.hear(pcm)
        check(heard, listener, path, listener.expected(pcm))
    print(f"{len(heard.windows)} windows, {heard.elapsed}")
    assert len(heard.windows) == 60
    assert heard.elapsed.audio >= 60 * 1_024_000


@pytest.fixture
def files(tmp_path, rng):
    """A network and a recording."""
    (tmp_path / "scores.tflite").write_bytes(write_tflite(listening_network(rng)))
    soundfile.write(tmp_path / "take.wav", noise(rng, 0.15), RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "short.wav", noise(rng, 0.02), RATE, subtype="PCM_16")
    return tmp_path


@pytest.mark.sim
def test_command(files, capsys):
    command = ["listen", str(files / "scores.tflite"), str(files / "take.wav"), "--config", "SMALL"]
    assert main([*command, "--frontend", "tflm_micro", "--stride", "2", "--json", "-"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["bit_exact"] == {"against": ["golden", "tflm"], "mismatches": 0}
    assert report["lost"] == []
    assert len(report["windows"]) == 3
    assert report["windows"][0]["seconds"] >= (MICRO.frame + 2 * MICRO.step) / RATE
    assert 0 < report["core_clock_share"] < 1
    assert report["stride"] == 2
    assert "bit-exact" in said.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["short.wav"], "320 samples, and a window of 3 frames takes 1,120"),
        (["take.wav", "--stride", "0"], "--stride must be at least 1, and is 0"),
        (["take.wav", "--stride", "9999"], "the stride must be 1..2048 frames, not 9999"),
        (["take.wav", "--frontend", "mlperf_ad"], "shape (1, 120)"),
        (["none.wav"], "none.wav"),
    ],
)
@pytest.mark.sim
def test_refusals(files, capsys, options, sentence):
    recording, *rest = options
    front = [] if "--frontend" in rest else ["--frontend", "tflm_micro"]
    network_and_sound = [str(files / "scores.tflite"), str(files / recording)]
    fails(capsys, ["listen", *network_and_sound, "--config", "SMALL", *front, *rest], sentence)
