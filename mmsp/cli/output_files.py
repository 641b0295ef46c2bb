"""Output files: refused before the work if they cannot be written, complete or not there after."""

import os
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from mmsp.errors import InputError

__all__ = ["OutputFile", "OutputFiles", "npy"]


class OutputFile:
    """A file that is written under a temporary name beside it, and gets its own when complete.

    ``partial`` is the temporary file; for something that is no regular file (a pipe, a device) it
    is the target itself.
    """

    def __init__(self, path: Path, option: str):
        self.path, self.option = path, option
        self.target = path.resolve()  # a symbolic link stays one
        self.direct = self.target.exists() and not self.target.is_file()
        if self.target.is_dir():
            raise InputError(f"{option} {str(path)!r} is a directory, not a file")
        if self.direct:
            self.partial = self.target
            return
        try:
            handle, name = tempfile.mkstemp(
                prefix=f".{self.target.name}.", suffix=".partial", dir=self.target.parent
            )
        except FileNotFoundError:
            raise InputError(
                f"{option} {str(path)!r} cannot be written: there is no directory "
                f"{str(path.parent)!r}"
            ) from None
        except OSError as error:
            raise InputError(
                f"{option} {str(path)!r} cannot be written: {error.strerror}"
            ) from None
        os.close(handle)
        self.partial = Path(name)

    def write(self, data: bytes) -> None:
        """Write everything and give the file its name."""
        try:
            self.partial.write_bytes(data)
            self.commit()
        except OSError as error:
            raise InputError(
                f"{self.option} {str(self.path)!r} cannot be written: {error.strerror}"
            ) from None

    def commit(self) -> None:
        """Give the temporary file its name, with the usual permissions."""
        if not self.direct:
            mask = os.umask(0)
            os.umask(mask)
            self.partial.chmod(0o666 & ~mask)
            self.partial.replace(self.target)

    def discard(self) -> None:
        """Remove the temporary file if it is still there."""
        if not self.direct:
            self.partial.unlink(missing_ok=True)


class OutputFiles:
    """All output files of a command; on exit, what was not written leaves no trace.

    Parameters
    ----------
    inputs : list of Path
        Files that must not be overwritten.
    """

    def __init__(self, inputs: list[Path]):
        self.taken = {path.resolve(): "an input" for path in inputs}
        self.files: list[OutputFile] = []

    def __enter__(self) -> "OutputFiles":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files:
            file.discard()

    def add(self, path: str | None, option: str) -> OutputFile | None:
        """Announce an output file; None for an option that was not given.

        Raises
        ------
        InputError
            When it cannot be written there.
        """
        if path is None:
            return None
        resolved = Path(path).resolve()
        if resolved in self.taken:
            raise InputError(f"{option} {path!r} is {self.taken[resolved]}, too")
        self.files.append(OutputFile(Path(path), option))
        if not self.files[-1].direct:
            self.taken[resolved] = f"the file of {option}"
        return self.files[-1]


def npy(array: NDArray) -> bytes:
    """A .npy file."""
    buffer = BytesIO()
    npy_format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
