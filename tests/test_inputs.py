"""Input files become what the model's file declares, or one sentence says why not."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from mmsp.description import Port
from mmsp.errors import InputError
from mmsp.inputs import make_batch, random_batch, read_inputs

SHAPE = (1, 3, 2)


def port(name="x", shape=SHAPE, dtype="int8", scale=0.5, zero_point=-10):
    return Port(
        name=name, shape=shape, dtype=dtype, scale=scale, zero_point=zero_point, tensor=name
    )


def picture_port(channels=3, dtype="int8", scale=1.0, zero_point=-128):
    return port("picture", (1, 4, 6, channels), dtype, scale, zero_point)


def quantise(values, scale, zero_point):
    """Half away from zero, in exact arithmetic: the definition, one value at a time."""
    result = []
    for value in np.asarray(values, np.float32).reshape(-1):
        scaled = float(np.float32(value) / np.float32(scale))
        magnitude = int(abs(scaled) + 0.5)
        result.append(max(-128, min(127, (magnitude if scaled >= 0 else -magnitude) + zero_point)))
    return np.array(result, np.int8).reshape(np.shape(values))


@pytest.fixture
def save(tmp_path):
    def write(name, *positional, **arrays):
        path = tmp_path / name
        if arrays:
            np.savez(path, **arrays)
        else:
            np.save(path, *positional)
        return str(path)

    return write


def test_tensor_of_the_declared_type(save, rng):
    values = rng.integers(-128, 128, SHAPE).astype(np.int8)
    batch = read_inputs([save("x.npy", values)], [port()])
    assert (batch.count, batch.single, batch.notes) == (1, True, [])
    np.testing.assert_array_equal(batch.values["x"], values[None])


def test_batch(save, rng):
    values = rng.integers(-128, 128, (5, *SHAPE)).astype(np.int8)
    batch = read_inputs([save("x.npy", values)], [port()])
    assert (batch.count, batch.single) == (5, False)
    np.testing.assert_array_equal(batch.values["x"], values)
    assert not read_inputs([save("x.npy", values[:1])], [port()]).single


@pytest.mark.parametrize(
    ("shape", "count"),
    [((6,), None), ((3, 2), None), ((1, 6), None), ((1, 3, 2, 1), 1), ((4, 6), 4), ((4, 3, 2), 4),
     ((4, 1, 6), 4)],
)  # fmt: skip
def test_shapes_of_the_same_order(rng, shape, count):
    values = rng.integers(-128, 128, shape).astype(np.int8)
    batch = make_batch({"x": values}, [port()])
    assert (batch.count, batch.single) == (count or 1, count is None)
    np.testing.assert_array_equal(batch.values["x"], values.reshape(-1, *SHAPE))
    assert batch.notes == [f"input 'x': shape {shape} taken as {SHAPE}"]


@pytest.mark.parametrize("shape", [(2, 3), (7,), (), (2, 3, 1), (4, 2, 3), (4, 7), (1, 1, 7)])
def test_shapes_of_another_order(shape):
    with pytest.raises(InputError, match=r"and must have \(1, 3, 2\), or one leading dimension"):
        make_batch({"x": np.zeros(shape, np.int8)}, [port()])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_reals_are_quantised_half_away_from_zero(dtype, rng):
    halves = (np.arange(-300, 300) / 4).astype(dtype)  # halves of the scale among them
    values = np.concatenate([halves, rng.normal(0, 40, 600).astype(dtype)]).reshape(-1, *SHAPE)
    batch = make_batch({"x": values}, [port()])
    expected = quantise(values, 0.5, -10)
    np.testing.assert_array_equal(batch.values["x"], expected)
    assert len(np.unique(expected)) > 150
    assert batch.notes == [
        f"input 'x': {np.dtype(dtype)} quantised to int8 (scale 0.5, zero point -10)"
    ]


def test_reals_for_uint8_and_float32():
    values = np.array([-1e30, -3, 0, 0.25, 3, 1e30]).reshape(SHAPE)
    batch = make_batch({"x": values}, [port(dtype="uint8")])
    assert batch.values["x"].dtype == np.uint8
    np.testing.assert_array_equal(batch.values["x"][0].reshape(-1), [0, 112, 118, 119, 124, 255])
    batch = make_batch({"x": values * 1e200}, [port(dtype="float32")])
    assert batch.values["x"].dtype == np.float32
    assert np.isfinite(batch.values["x"]).all()
    assert not batch.notes


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [(1.0, -128), (1 / 255, -128), (1 / 256, -128), (2 / 255, 0), (2 / 255, -1), (1 / 128, 0)],
)
def test_bytes_of_a_picture(scale, zero_point):
    pixels = np.arange(72, dtype=np.uint8).reshape(1, 4, 6, 3) * 3
    target = picture_port(scale=scale, zero_point=zero_point)
    batch = make_batch({"picture": pixels}, [target])
    np.testing.assert_array_equal(batch.values["picture"][0], pixels.astype(int) - 128)
    assert batch.notes == ["input 'picture': uint8 taken as a picture, minus 128"]


def test_bytes_for_a_model_of_uint8_or_float32():
    pixels = np.arange(72, dtype=np.uint8).reshape(1, 4, 6, 3)
    batch = make_batch({"picture": pixels}, [picture_port(dtype="uint8")])
    np.testing.assert_array_equal(batch.values["picture"][0], pixels)
    batch = make_batch({"picture": pixels}, [picture_port(dtype="float32")])
    np.testing.assert_array_equal(batch.values["picture"][0], pixels.astype(np.float32))


@pytest.mark.parametrize(
    ("scale", "zero_point"), [(0.5, -128), (1.0, 0), (16 / 255, -128), (1.1, -128)]
)
def test_bytes_for_what_is_no_picture(scale, zero_point):
    pixels = np.zeros((1, 4, 6, 3), np.uint8)
    with pytest.raises(InputError, match=r"does not take pixels 0..255: its scale"):
        make_batch({"picture": pixels}, [picture_port(scale=scale, zero_point=zero_point)])


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg"])
@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_picture_of_the_right_size(tmp_path, rng, suffix, channels, mode):
    pixels = rng.integers(0, 256, (4, 6, channels)).astype(np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels.reshape(4, 6) if channels == 1 else pixels).save(path)
    batch = read_inputs([str(path)], [picture_port(channels)])
    if suffix != "jpg":  # which loses a little
        np.testing.assert_array_equal(batch.values["picture"][0, 0], pixels.astype(int) - 128)
    assert batch.notes[0] == f"picture 'a.{suffix}': 6 x 4 {mode}"
    assert batch.single


@pytest.mark.parametrize("channels", [1, 3])
def test_picture_with_channels_first(tmp_path, rng, channels):
    pixels = rng.integers(0, 256, (4, 6, channels)).astype(np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels.reshape(4, 6) if channels == 1 else pixels).save(path)
    batch = read_inputs([str(path)], [port("picture", (1, channels, 4, 6), "int8", 1.0, -128)])
    expected = pixels.transpose(2, 0, 1).astype(int) - 128
    np.testing.assert_array_equal(batch.values["picture"][0, 0], expected)


def test_picture_is_converted_and_resized(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGBA", (60, 80), (200, 200, 200, 255)).save(path)
    batch = read_inputs([f"picture={path}"], [picture_port(1)])
    np.testing.assert_array_equal(batch.values["picture"], np.full((1, 1, 4, 6, 1), 200 - 128))
    assert batch.notes == [
        "picture 'a.png': 60 x 80 RGBA, converted to L, resized to 6 x 4",
        "input 'picture': uint8 taken as a picture, minus 128",
    ]


def test_rotated_picture(tmp_path):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.new("L", (4, 6)).save(path, exif=exif)
    assert read_inputs([str(path)], [picture_port(1)]).notes[0] == "picture 'a.jpg': 6 x 4 L"


def test_deep_picture(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((4, 6), 40000, np.uint16)).save(path)
    with pytest.raises(InputError, match=r"a.png' has mode I;16, and 8 bits a channel are read"):
        read_inputs([str(path)], [picture_port(1)])


def test_picture_for_a_tensor(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (4, 6)).save(path)
    with pytest.raises(InputError, match=r"takes no picture such as .*: its shape is \(1, 3, 2\)"):
        read_inputs([str(path)], [port()])


def test_damaged_pictures(tmp_path, rng):
    buffer = io.BytesIO()
    pixels = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "png")
    data, path, refused = buffer.getvalue(), tmp_path / "a.png", 0
    for _ in range(150):
        damaged = bytearray(data[: rng.integers(len(data))] if rng.integers(2) else data)
        for _ in range(min(len(damaged), int(rng.integers(1, 5)))):
            damaged[rng.integers(min(len(damaged), 200))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_inputs([str(path)], [picture_port()])
        except InputError:
            refused += 1
    assert refused > 100


def test_damaged_arrays(save, tmp_path, rng):
    for name in ("a.npy", "a.npz"):
        values = np.zeros(SHAPE, np.int8)
        path = save(name, **({"x": values} if name == "a.npz" else {})) if name == "a.npz" else (
            save(name, values)
        )  # fmt: skip
        data = (tmp_path / name).read_bytes()
        refused = 0
        for _ in range(300):
            damaged = bytearray(data[: rng.integers(len(data))] if rng.integers(2) else data)
            for _ in range(min(len(damaged), int(rng.integers(0, 4)))):
                damaged[rng.integers(len(damaged))] = rng.integers(256)
            (tmp_path / name).write_bytes(damaged)
            try:
                read_inputs([path], [port()])
            except InputError:
                refused += 1
        assert refused > 100


def test_archive_keyed_by_name(save):
    a, b = port("a"), port("b", (4,))
    ones, twos = np.ones(SHAPE, np.int8), np.full(4, 2, np.int8)
    for given in (
        [save("both.npz", a=ones, b=twos)],
        [f"a={save('a.npy', ones)}", f"b={save('b.npy', twos)}"],
        [save("a.npz", a=ones), save("b.npz", b=twos)],
        [f"a={save('other.npz', anything=ones)}", f"b={save('both.npz', a=ones, b=twos)}"],
    ):
        batch = read_inputs(given, [a, b])
        np.testing.assert_array_equal(batch.values["a"][0], ones)
        np.testing.assert_array_equal(batch.values["b"][0], twos)


def test_equals_sign_in_a_file_name(save):
    values = np.ones(SHAPE, np.int8)
    read_inputs([save("a=b.npy", values)], [port()])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{tmp}/none.npy"], r"input '.*none.npy' does not exist"),
        (["{tmp}/folder.npy"], r"input '.*folder.npy' is a directory, not a file"),
        (["{tmp}/a.ogg"], r"has the suffix '.ogg', not one of .npy, .npz, .png"),
        (["{tmp}/text.npy"], r"input '.*text.npy' is no readable .npy file"),
        (["{tmp}/text.npz"], r"input '.*text.npz' is no readable .npz file"),
        (["{tmp}/text.png"], r"picture '.*text.png' is no picture that can be read"),
        (["{tmp}/pickle.npy"], r"no readable .npy file: .*allow_pickle"),
        (["{tmp}/zip.npy"], r"holds several arrays: name it .npz"),
        (["y={tmp}/good.npy"], "the model has no input 'y': its inputs are 'picture'"),
        (["{tmp}/good.npy", "picture={tmp}/good.npy"], "input 'picture' is given twice"),
        (["{tmp}/two.npz"], r"holds 'a', 'b', and must hold 'picture'"),
        (["{tmp}/more.npz"], r"the model has no input 'b', which '.*more.npz' holds"),
        (["{tmp}/empty.npz"], r"holds no arrays, and must hold 'picture'"),
        (["{tmp}/shape.npy"], r"has shape \(6, 4\), and must have \(1, 4, 6, 1\), or one leading"),
        (["{tmp}/none_of_them.npy"], "input 'picture' is a batch of 0: nothing to run"),
        (["{tmp}/nan.npy"], "input 'picture' must be finite, and 1 of 24 values are NaN"),
        (["{tmp}/inf.npy"], "input 'picture' must be finite, and 2 of 24 values are infinite"),
        (["{tmp}/int64.npy"], "is int64, and must be int8, float or a uint8 picture"),
        (["{tmp}/bool.npy"], "is bool, and must be int8, float or a uint8 picture"),
        (["{tmp}/complex64.npy"], "is complex64, and must be int8, float or a uint8 picture"),
        (["{tmp}/text_array.npy"], "is <U2, and must be int8, float or a uint8 picture"),
    ],
)
def test_bad_inputs(tmp_path, save, arguments, sentence):
    shape = (1, 4, 6, 1)
    good = np.zeros(shape, np.int8)
    real = np.zeros(shape, np.float32)
    (tmp_path / "folder.npy").mkdir()
    for name in ("text.npy", "text.npz", "text.png"):
        (tmp_path / name).write_text("not at all")
    np.save(tmp_path / "pickle.npy", np.array([{}], object), allow_pickle=True)
    save("zip.npz", a=good, b=good)
    (tmp_path / "zip.npz").rename(tmp_path / "zip.npy")
    save("good.npy", good)
    save("two.npz", a=good, b=good)
    save("more.npz", picture=good, b=good)
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    save("shape.npy", good[0, :, :, 0].T)
    save("none_of_them.npy", np.zeros((0, *shape), np.int8))
    real[0, 1, 1] = np.nan
    save("nan.npy", real)
    real[0, 1, 1] = np.inf
    real[0, 2, 2] = -np.inf
    save("inf.npy", real)
    for dtype in ("int64", "bool", "complex64"):
        save(f"{dtype}.npy", good.astype(dtype))
    save("text_array.npy", np.full(shape, "ab"))
    with pytest.raises(InputError, match=sentence):
        read_inputs([a.format(tmp=tmp_path) for a in arguments], [picture_port(1)])


def test_several_inputs_need_names(save):
    ports, good = [port("a"), port("b")], np.zeros(SHAPE, np.int8)
    path = save("x.npy", good)
    with pytest.raises(InputError, match=r"the model has 2 inputs, so --input needs a name: NAME="):
        read_inputs([path], ports)
    with pytest.raises(InputError, match="input 'b' is missing: the model needs 'a', 'b'"):
        read_inputs([f"a={path}"], ports)
    with pytest.raises(InputError, match=r"batches differ: 'a' has no batch, 'b' has a batch of 3"):
        make_batch({"a": good, "b": np.stack([good] * 3)}, ports)
    with pytest.raises(InputError, match="the model has no input 'c': its inputs are 'a', 'b'"):
        make_batch({"c": good}, ports)


def test_real_values_without_a_scale():
    with pytest.raises(InputError, match="is float64, and has no scale: it must be int8"):
        make_batch({"x": np.zeros(SHAPE)}, [port(scale=None, zero_point=None)])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_random_values(dtype):
    ports = [port(shape=(50, 40), dtype=dtype)]
    first, again, other = (random_batch(ports, seed).values["x"] for seed in (3, 3, 4))
    assert first.dtype == dtype
    assert first.shape == (1, 50, 40)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len(np.unique(ports[0].to_inside(first))) == 256
    assert random_batch(ports, 3).notes == ["no --input: random values (seed 3)"]
