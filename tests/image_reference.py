"""The image stages as their definitions have them: float64, or one pixel at a time.

Not a test: tests of the integer models import this.
"""

from collections import deque

import numpy as np

COLOURS = {"R": 0, "G": 1, "B": 2}


def psnr(a, b, peak):
    return 10 * np.log10(peak**2 / np.mean((np.asarray(a, float) - b) ** 2))


def log_uniform(rng, limit, shape):
    """Integers 0..limit of all magnitudes."""
    return np.minimum(np.exp2(rng.uniform(0, np.log2(limit + 2), shape)) - 1, limit).astype(int)


def shifted(frame):
    """``at(dy, dx)``: the frame's neighbours, mirrored about the outermost pixels."""
    padded = np.pad(np.asarray(frame, float), 2, "reflect")
    rows, columns = frame.shape

    def at(dy, dx):
        return padded[2 + dy : 2 + dy + rows, 2 + dx : 2 + dx + columns]

    return at


def colour_at(order, row, column):
    return order[2 * (row % 2) + column % 2]


def masks(shape, order):
    """Where the mosaic has R, G and B."""
    grid = np.array([[colour_at(order, row, column) for column in range(2)] for row in range(2)])
    tiled = np.tile(grid, (shape[0] // 2 + 1, shape[1] // 2 + 1))[: shape[0], : shape[1]]
    return {colour: tiled == colour for colour in COLOURS}


def bilinear(frame, order):
    """Mean of the two or four nearest pixels of the colour that is missing."""
    at, where = shifted(frame), masks(frame.shape, order)
    side, above = (at(0, -1) + at(0, 1)) / 2, (at(-1, 0) + at(1, 0)) / 2
    cross = (side + above) / 2
    diagonal = (at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)) / 4
    return assemble(at(0, 0), where, cross, diagonal, side, above)


def malvar(frame, order):
    """Gradient-corrected interpolation: Malvar, He and Cutler, ICASSP 2004, equations 2 to 7.

    ``bilinear + gain * Laplacian of the pixel's own colour``; the gains are 1/2 for green at red
    or blue, 5/8 for red or blue at green and 3/4 for red at blue and blue at red.
    """
    at, where = shifted(frame), masks(frame.shape, order)
    centre = at(0, 0)
    side, above = (at(0, -1) + at(0, 1)) / 2, (at(-1, 0) + at(1, 0)) / 2
    far_side, far_above = at(0, -2) + at(0, 2), at(-2, 0) + at(2, 0)
    diagonals = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
    laplacian = centre - (far_side + far_above) / 4
    # At green the Laplacian takes nine pixels, of weights that sum to 1.
    along_row = centre - (diagonals + far_side - far_above / 2) / 5
    along_column = centre - (diagonals + far_above - far_side / 2) / 5
    return assemble(
        centre,
        where,
        (side + above) / 2 + laplacian / 2,
        diagonals / 4 + laplacian * 3 / 4,
        side + along_row * 5 / 8,
        above + along_column * 5 / 8,
    )


def assemble(centre, where, green, opposite, side, above):
    """Put red, green and blue together from what each kind of place needs."""
    rgb = np.zeros((*centre.shape, 3))
    rgb[..., 1] = np.where(where["G"], centre, green)
    for colour, other in (("R", "B"), ("B", "R")):
        in_row = where[colour].any(axis=1)[:, None]
        at_green = np.where(in_row, side, above)
        rgb[..., COLOURS[colour]] = np.where(
            where[colour], centre, np.where(where[other], opposite, at_green)
        )
    return rgb


def area_average(picture, crop, width, height):
    """Integral over each output pixel's rectangle, pixel by pixel."""
    part = np.asarray(picture, float)
    part = part[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    for size in (height, width):  # rows first, then the transposed picture's rows
        edges = np.arange(size + 1) * (part.shape[0] / size)
        integral = np.concatenate([np.zeros((1, *part.shape[1:])), np.cumsum(part, axis=0)])
        whole = np.minimum(edges.astype(int), part.shape[0] - 1)
        at_edges = integral[whole] + (edges - whole)[:, None, None] * part[whole]
        part = np.diff(at_edges, axis=0) * size / part.shape[0]
        part = part.transpose(1, 0, 2)
    return part


def stream_windows(frame):
    """Windows of 5 rows as line buffers give them: at most four lines behind the newest one.

    Yields ``(5, columns)``, in order of the middle row.
    """
    lines = deque(maxlen=5)  # four kept, and the one that comes in
    rows = len(frame)
    for row, line in enumerate(frame):
        lines.append(line)
        middle = row - 2
        if middle >= 0:
            yield window_of(lines, row, middle, rows)
    for middle in (rows - 2, rows - 1):
        yield window_of(lines, rows - 1, middle, rows)


def window_of(lines, newest, middle, rows):
    picked = []
    for row in range(middle - 2, middle + 3):
        mirrored = abs(row) if row < rows else 2 * (rows - 1) - row
        picked.append(lines[len(lines) - 1 - (newest - mirrored)])
    return np.stack(picked)
