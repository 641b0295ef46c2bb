"""Configurations by name, and variants of them: the same chip with other memories.

A variant is for simulation: how small may the activation memory be, what would more MRAM or a
faster one bring.  It is named after its base, ``FULL+act64+mram512+wake5``, and that name is taken
wherever a name is.
"""

import re
from dataclasses import replace

from hdl.config import ACT_BANKS, CONFIGS, MRAM_WORD_BYTES, ChipConfig
from hdl.engine.descriptor import Descriptor
from mmsp.errors import InputError

__all__ = ["base_name", "find_config", "make_variant"]

KIB = 1024
MOST_WAKEUP = 100_000
NAME = re.compile(
    r"([^+]*)(?:\+act(\d{1,9}))?(?:\+mram(\d{1,9}))?(?:\+wake(\d{1,9}))?", re.IGNORECASE
)


def find_config(config: str | ChipConfig | None) -> ChipConfig | None:
    """The configuration of a name, in upper or lower case; None for None.

    Raises
    ------
    InputError
        When there is none of that name, or no such variant of it.
    """
    if config is None or isinstance(config, ChipConfig):
        return config
    match = NAME.fullmatch(config)
    if match is None or match[1].upper() not in CONFIGS:
        raise InputError(
            f"there is no configuration {config!r}: it must be {', '.join(CONFIGS)}, perhaps with "
            "other memories, such as FULL+act64+mram512"
        )
    sizes = (None if size is None else int(size) for size in match.groups()[1:])
    return make_variant(CONFIGS[match[1].upper()], *sizes)


def make_variant(
    base: ChipConfig,
    act_kib: int | None = None,
    mram_kib: int | None = None,
    wakeup: int | None = None,
) -> ChipConfig:
    """``base`` with other memories, its own where a value is None or equal to it.

    Parameters
    ----------
    base : ChipConfig
        One of `hdl.config.CONFIGS`, or a variant of one.
    act_kib, mram_kib : int, optional
        Activation memory, all banks together, and MRAM; in KiB.
    wakeup : int, optional
        Core cycles that an MRAM bank takes to wake up.

    Raises
    ------
    InputError
        For values that the chip cannot be built with.
    """
    act_kib = base.activation_kib if act_kib is None else act_kib
    mram_kib = base.mram_kib if mram_kib is None else mram_kib
    wakeup = base.mram_wakeup if wakeup is None else wakeup
    most_act = (1 << width("out_base")) * ACT_BANKS * base.rows // KIB
    if not 1 <= act_kib <= most_act:
        raise InputError(
            f"the activation memory of a variant of {base.name} must have 1..{most_act} KiB, and "
            f"--act-kib is {act_kib}"
        )
    # The cache takes the low bits of an MRAM address for a place in its ring.
    least_mram, most_mram = 2 * base.cache_kib, (1 << width("remaining")) * MRAM_WORD_BYTES // KIB
    if not least_mram <= mram_kib <= most_mram or mram_kib & (mram_kib - 1):
        raise InputError(
            f"the MRAM of a variant of {base.name} must have {least_mram}..{most_mram} KiB and a "
            f"power of two, and --mram-kib is {mram_kib}"
        )
    if not 1 <= wakeup <= MOST_WAKEUP:
        raise InputError(
            f"an MRAM bank of a variant of {base.name} must wake up in 1..{MOST_WAKEUP} cycles, "
            f"and {wakeup} are given"
        )
    name = base_name(base)
    root = CONFIGS.get(name, base)
    if act_kib != root.activation_kib:
        name += f"+act{act_kib}"
    if mram_kib != root.mram_kib:
        name += f"+mram{mram_kib}"
    if wakeup != root.mram_wakeup:
        name += f"+wake{wakeup}"
    return (
        root
        if name == root.name
        else replace(base, name=name, activation_kib=act_kib, mram_kib=mram_kib, mram_wakeup=wakeup)
    )


def base_name(config: ChipConfig) -> str:
    """Name of the configuration that ``config`` is, or is a variant of."""
    return config.name.partition("+")[0]


def width(field: str) -> int:
    """Bits of a field of a descriptor, which limits what a program can address."""
    return Descriptor.as_shape()[field].width
