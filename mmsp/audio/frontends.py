"""Front ends by name: the presets, and those that a user writes in a TOML file."""

import tomllib
from dataclasses import MISSING, fields, replace
from pathlib import Path

import numpy as np

from mmsp.errors import InputError
from models.audio import pipeline
from models.audio.frontend import PRESETS, FrontEnd

__all__ = ["find_frontend", "frontend_files", "parse_frontend", "preset_names"]

SUFFIX = ".toml"
BASE = "base"
"""The one field of a file that a `FrontEnd` has not: the preset that it begins with."""


def preset_names() -> str:
    """The presets in a sentence."""
    return ", ".join(PRESETS)


def frontend_files(text: str | None) -> list[Path]:
    """The file that ``--frontend`` names, if it names one."""
    return [Path(text)] if text is not None and Path(text).suffix.lower() == SUFFIX else []


def find_frontend(text: str) -> FrontEnd:
    """The front end that ``--frontend`` names: a preset, in upper or lower case, or a file.

    Raises
    ------
    InputError
        When there is none, or the file does not describe one.
    """
    if (name := text.lower()) in PRESETS:
        return PRESETS[name]
    files = frontend_files(text)
    if not files:
        raise InputError(
            f"there is no front end {text!r}: it must be {preset_names()}, or a {SUFFIX} file"
        )
    path = files[0]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"front end {text!r} cannot be read: {error.strerror}") from None
    try:
        return parse_frontend(data.decode(), path.stem)
    except UnicodeDecodeError:
        raise InputError(f"front end {text!r} is no text in UTF-8") from None
    except InputError as error:
        raise InputError(f"front end {text!r}: {error}") from None


def parse_frontend(text: str, name: str) -> FrontEnd:
    """A front end from TOML: the fields of `FrontEnd`, and ``base``, a preset to begin with.

    Parameters
    ----------
    text : str
        One ``field = value`` a line.
    name : str
        What messages call it, unless the text has a name.

    Raises
    ------
    InputError
        With the field, its value and what is allowed.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"this is no TOML: {error}") from None
    known = {field.name: field for field in fields(FrontEnd)}
    for field, value in given.items():
        if field not in known and field != BASE:
            raise InputError(
                f"there is no field {field} (= {value!r}): it must be one of {BASE}, "
                f"{', '.join(known)}"
            )
    base = given.pop(BASE, None)
    title = given.setdefault("name", name)
    if not isinstance(title, str) or not title.isprintable() or not title:
        raise InputError(f"name must be a line of text, not {title!r}")
    if base is not None and (not isinstance(base, str) or base.lower() not in PRESETS):
        raise InputError(f"{BASE} must be one of {preset_names()}, not {base!r}")
    try:
        if base is not None:
            return checked(replace(PRESETS[base.lower()], **given))
        required = [field.name for field in known.values() if field.default is MISSING]
        if missing := [field for field in required if field not in given]:
            raise InputError(
                f"the field {missing[0]} is missing: without a {BASE} (one of {preset_names()}) "
                f"there must be {', '.join(field for field in required if field != 'name')}"
            )
        return checked(FrontEnd(**given))
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None


def checked(frontend: FrontEnd) -> FrontEnd:
    """The front end, if its tables can be made: fields may be right and not fit together."""
    pipeline.features(frontend, np.zeros(frontend.frame, np.int16))
    return frontend
