"""The MRAM macro and the weight cache in front of it."""

from hdl.mram.cache import WeightCache
from hdl.mram.macro import MramMacro, MramReadSignature, MramWriteSignature

__all__ = ["MramMacro", "MramReadSignature", "MramWriteSignature", "WeightCache"]
