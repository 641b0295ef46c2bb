"""The MRAM macro and the weight cache in front of it."""

from hdl.mram.cache import WeightCache
from hdl.mram.macro import MRAM_WORD_BITS, MramMacro, MramReadSignature, MramWriteSignature

__all__ = [
    "MRAM_WORD_BITS",
    "MramMacro",
    "MramReadSignature",
    "MramWriteSignature",
    "WeightCache",
]
