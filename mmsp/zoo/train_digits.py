"""Trains the digit network and writes the files of this package: ``make retrain``.

Needs scikit-learn for the images.  The result is the same on every machine, byte for byte: see
`mmsp.zoo.exact`.  Training never sees the images that are held out; the settings below were chosen
by cross-validation on the others.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from mmsp.errors import InputError
from mmsp.importers.tflite_writer import write_tflite
from mmsp.zoo.network import backward, forward, initial_parameters, probabilities
from mmsp.zoo.quantization import quantize_network

__all__ = ["main", "make_model", "pack_held_out", "split_digits", "train"]

Array = NDArray[np.float64]
Images = NDArray[np.uint8]

SEED = 1
EPOCHS = 50
BATCH = 32
LEARNING_RATE = 0.004
"""At the first step; it falls linearly to 0."""

WEIGHT_DECAY = 0.01
"""Of every step, times the learning rate, as AdamW does."""

SMOOTHING = 0.1
"""Share of the target probability that is spread over all classes."""

SHIFTED = 0.5
"""Share of the images that move by up to one pixel each way."""

MOMENTUM, VARIANCE_DECAY, EPSILON = 0.9, 0.999, 1e-8  # as published for Adam

CLASSES = 10
HELD_OUT_PER_CLASS = 36
INK = 16
"""Largest value of a pixel: a count of black dots in a 4x4 cell of the scanned bitmap."""

SOURCE = (
    "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
    "Repository, 1998, doi 10.24432/C50P49, licence CC BY 4.0; through scikit-learn's load_digits"
)


def load_images() -> tuple[Images, NDArray[np.int64]]:
    """All 1797 digits of scikit-learn: images (n, 8, 8) of 0..16, and labels (n,)."""
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415  # optional: only training needs it
    except ImportError:
        raise InputError("training needs scikit-learn: pip install scikit-learn") from None
    digits = load_digits()
    return digits.images.astype(np.uint8), digits.target.astype(np.int64)


def split_digits(
    images: Images, labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training images and of those held out.

    Held out are the 36 images of every class whose pixels have the smallest SHA-256: a rule that
    needs no random numbers and does not depend on the order of the images.  They come in the
    order 0, 1, .. 9, 0, 1, .., so that any multiple of ten of them has all classes alike.
    """
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    held_out = np.empty((HELD_OUT_PER_CLASS, CLASSES), np.int64)
    for label in range(CLASSES):
        of_class = sorted(np.flatnonzero(labels == label), key=lambda index: digests[index])
        held_out[:, label] = of_class[:HELD_OUT_PER_CLASS]
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out.reshape(-1)


def to_reals(images: Images) -> Array:
    """Images (n, 8, 8) of 0..16 as the network takes them: (n, 8, 8, 1) of 0 to 1."""
    return images[..., None] / INK


def shift_some(images: Array, rng: np.random.Generator) -> Array:
    """Move some of the images by up to one pixel, paper coming in at the edge."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    offsets = rng.integers(0, 3, (len(images), 2))
    offsets[rng.random(len(images)) >= SHIFTED] = 1
    return np.stack(
        [
            image[top : top + height, left : left + width]
            for image, (top, left) in zip(padded, offsets.tolist(), strict=True)
        ]
    )


def train(
    images: Array,
    labels: NDArray[np.int64],
    *,
    epochs: int = EPOCHS,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Array]:
    """Return trained parameters.

    Parameters
    ----------
    images : ndarray, shape (N, 8, 8, 1)
        0 to 1.
    labels : ndarray, shape (N,)
        0 to 9.
    epochs : int
        Times that every image is seen, but for up to 31 that do not fill a batch.
    progress : callable
        Called after every epoch.
    """
    rng = np.random.default_rng(SEED)
    parameters = initial_parameters(rng)
    means = {name: np.zeros_like(values) for name, values in parameters.items()}
    squares = {name: np.zeros_like(values) for name, values in parameters.items()}
    targets = np.full((len(labels), CLASSES), SMOOTHING / CLASSES)
    targets[np.arange(len(labels)), labels] += 1 - SMOOTHING
    batches = len(labels) // BATCH
    step, mean_weight, square_weight = 0, 1.0, 1.0
    for _ in range(epochs):
        order = rng.permutation(len(labels))[: batches * BATCH].reshape(batches, BATCH)
        for batch in order:
            tensors = forward(parameters, shift_some(images[batch], rng))
            of_scores = probabilities(tensors["scores"]) - targets[batch][:, None, None]
            gradients = backward(parameters, tensors, of_scores / BATCH)
            rate = LEARNING_RATE * (1 - step / (epochs * batches))
            step += 1
            mean_weight *= MOMENTUM
            square_weight *= VARIANCE_DECAY
            for name, gradient in gradients.items():
                means[name] = MOMENTUM * means[name] + (1 - MOMENTUM) * gradient
                squares[name] = (
                    VARIANCE_DECAY * squares[name] + (1 - VARIANCE_DECAY) * gradient * gradient
                )
                spread = np.sqrt(squares[name] / (1 - square_weight)) + EPSILON
                change = means[name] / (1 - mean_weight) / spread
                parameters[name] = parameters[name] - rate * (
                    change + WEIGHT_DECAY * parameters[name]
                )
        progress()
    return parameters


def accuracy(parameters: dict[str, Array], images: Images, labels: NDArray[np.int64]) -> float:
    """Share of the images that the float network gets right."""
    scores = forward(parameters, to_reals(images))["scores"]
    return float((scores[:, 0, 0].argmax(axis=-1) == labels).mean())


def make_model(progress: Callable[[], None] = lambda: None) -> tuple[bytes, dict[str, Array]]:
    """Train and quantise: the .tflite file and the float parameters."""
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  # comes with scikit-learn

    images, labels = load_images()
    training, _ = split_digits(images, labels)
    inputs = to_reals(images[training])
    with threadpool_limits(1):  # the matrices are so small that more threads only wait
        parameters = train(inputs, labels[training], progress=progress)
    return write_tflite(quantize_network(parameters, inputs)), parameters


def pack_held_out(path: Path) -> None:
    """Write the held-out digits as ``.npz``: ``images``, ``labels``, and the ``source`` to name."""
    images, labels = load_images()
    _, held_out = split_digits(images, labels)
    np.savez(path, images=images[held_out], labels=labels[held_out].astype(np.uint8), source=SOURCE)


def main(argv: list[str] | None = None) -> int:
    """Train, and write ``digits.tflite`` and ``digits.npz``."""
    parser = argparse.ArgumentParser(prog="python -m mmsp.zoo.train_digits", description=__doc__)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent,
        help="directory for digits.tflite and digits.npz (default: this package)",
    )
    directory = parser.parse_args(argv).output
    try:
        if not directory.is_dir():
            raise InputError(f"cannot write to {str(directory)!r}: there is no such directory")
        images, labels = load_images()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    training, held_out = split_digits(images, labels)
    with Progress(transient=True, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task(f"training, {EPOCHS} epochs", total=EPOCHS)
        model, parameters = make_model(lambda: bar.advance(task))
    (directory / "digits.tflite").write_bytes(model)
    pack_held_out(directory / "digits.npz")
    for name, part in (("training", training), ("held-out", held_out)):
        share = accuracy(parameters, images[part], labels[part])
        print(f"float accuracy on {len(part)} {name} digits: {100 * share:.2f} %")
    print(f"wrote digits.tflite ({len(model)} bytes) and digits.npz to {directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
