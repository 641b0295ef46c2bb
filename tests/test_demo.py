"""``mmsp demo``: what it prints and draws, and what it does when something is wrong."""

import argparse
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hdl.config import SMALL
from mmsp.errors import InputError
from mmsp.importers.tflite import read_tflite
from mmsp.references import Comparison
from mmsp.zoo import demo, held_out_digits
from mmsp.zoo.sheet import CELL_HEIGHT, CELL_WIDTH, HEADER, MARGIN, ROW_LABEL, WRONG, draw_sheet

MACS = 46_592


def run(*argv):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return demo.main(parser.parse_args(argv))


@dataclass
class FakeResult:
    config: object
    outputs: dict
    cycles_each: list
    macs: int = MACS
    mram_bytes_read: int = 7696


@pytest.fixture
def chip_says(monkeypatch, tmp_path):
    """Replace the simulation by given predictions; the demo runs in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def replace(predictions, comparison=None):
        class FakeSimulator:
            def __init__(self, model, config):
                self.config = config
                port = type("Port", (), {"name": read_tflite(model.data, "digits").outputs[0]})
                self.description = type("Description", (), {"outputs": [port]})

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def batch(self, values):
                return type("Batch", (), {"count": len(values), "values": values})

            def run(self, batch, progress):
                progress(batch.count - 1, 0)
                outputs = np.eye(10, dtype=np.int8)[np.asarray(predictions)][:, None]
                return FakeResult(self.config, {"probabilities": outputs}, [1000] * batch.count)

        agreed = comparison or Comparison(10, {"golden": 0, "tflm": 0}, [])
        monkeypatch.setattr(demo, "Simulator", FakeSimulator)
        monkeypatch.setattr(demo, "compare", lambda *_: agreed)

    return replace


def test_report(chip_says, capsys, tmp_path):
    chip_says([0, 1, 2, 8, 4, 5, 6, 7, 8, 9])
    assert run("--count", "10", "--config", "small") == 0
    out, err = capsys.readouterr()
    assert err == ""  # a bar is for terminals
    lines = out.splitlines()
    assert lines[0].startswith("10 real handwritten digits")
    assert "accuracy      90.00%  (9 of 10)" in lines
    assert "chip           SMALL  (16 MAC/cycle, simulated RTL)" in lines
    assert "cycles         1,000  an inference, the same for every digit" in lines
    assert "time            20.0  us an inference at 50 MHz" in lines
    # 46,592 MACs in 16 * 1,000
    assert "MACs          46,592  an inference: 291.2% of what the array could do" in lines
    assert "bit-exact: golden model, TFLM" in lines
    assert "8, but is 3" in out
    assert out.count("read right") == 9
    assert max(map(len, lines)) <= 100
    with Image.open(tmp_path / "build" / "demo" / "digits.png") as picture:
        assert picture.format == "PNG"


def test_disagreement_is_a_failure(chip_says, capsys):
    chip_says([0, 1], Comparison(20, {"golden": 3}, []))
    assert run("--count", "2") == 1
    assert "not bit-exact: 3 of 20 values differ" in capsys.readouterr().out


def test_output_elsewhere(chip_says, tmp_path):
    chip_says([0])
    assert run("--count", "1", "--output", str(tmp_path / "x.png")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--count", "0"], r"--count must be in 1\.\.360, and is 0"),
        (["--count", "361"], r"--count must be in 1\.\.360, and is 361"),
        (["--config", "huge"], "there is no configuration 'huge'"),
        (["--output", "nowhere/x.png"], "there is no directory 'nowhere'"),
    ],
)
def test_bad_arguments(chip_says, argv, message, tmp_path):
    chip_says([0])
    with pytest.raises(InputError, match=message):
        run(*argv)
    assert not list(tmp_path.iterdir())


def test_default_place_cannot_be_made(chip_says, tmp_path):
    chip_says([0])
    (tmp_path / "build").write_text("a file")
    with pytest.raises(InputError, match="name another place with --output"):
        run("--count", "1")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_characters(encoding):
    images, labels = held_out_digits()
    console = Console(file=BytesTextFile(encoding), width=100)
    demo.show_digits(console, images[:2], labels[:2], labels[:2])
    rows = console.file.getvalue().splitlines()[1:9]
    shades = demo.SHADES if encoding == "utf-8" else demo.PLAIN_SHADES
    assert set("".join(rows)) <= set(shades)
    # The first digit, pixel by pixel: blank is blank, full ink is the darkest character.
    for row, pixels in zip(rows, images[0], strict=True):
        for column, pixel in enumerate(pixels.tolist()):
            pair = row.ljust(16)[2 * column : 2 * column + 2]
            assert (pair == "  ") == (pixel == 0)
            assert (pair == 2 * shades[-1]) == (pixel > 12)


class BytesTextFile:
    """A text file with an encoding, which must be able to encode everything."""

    def __init__(self, encoding):
        self.encoding, self.parts = encoding, []

    def write(self, text):
        self.parts.append(text.encode(self.encoding).decode(self.encoding))

    def flush(self):
        pass

    def getvalue(self):
        return "".join(self.parts)


def test_sheet_marks_the_wrong_ones():
    images, labels = held_out_digits()
    predictions = labels.copy()
    predictions[123] = 7  # the 13th of class 3
    data = draw_sheet(images, labels, predictions, "headline", "subline")
    with Image.open(BytesIO(data)) as picture:
        pixels = np.asarray(picture)
    framed = (pixels == WRONG).all(axis=-1)
    rows, columns = np.nonzero(framed)
    assert (rows.max() - HEADER) // CELL_HEIGHT == 3
    assert (rows.min() + 2 - HEADER) // CELL_HEIGHT == 3
    assert (columns.min() + 2 - MARGIN - ROW_LABEL) // CELL_WIDTH == 12
    assert columns.max() - columns.min() <= CELL_WIDTH
    # A pixel of ink is dark, one of paper is white.
    top, left = HEADER, MARGIN + ROW_LABEL
    corner = pixels[top + 2, left + 2]
    assert (corner == 255).all() == (images[0][0, 0] == 0)
    darkest = np.argwhere(images[0] == 16)[0]
    assert pixels[top + 5 * darkest[0] + 2, left + 5 * darkest[1] + 2].max() < 100


@pytest.mark.sim
def test_demo_on_the_rtl(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("--count", "20", "--config", SMALL.name) == 0
    out = capsys.readouterr().out
    assert "bit-exact: golden model" in out
    assert "(20 of 20)" in out
    assert f"{MACS:,}" in out
