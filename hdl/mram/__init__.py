"""The MRAM: banks, their controller with its users, and the weight cache in front of it."""

from hdl.mram.array import MramArray
from hdl.mram.bank import MramBank
from hdl.mram.cache import WeightCache
from hdl.mram.controller import MramController
from hdl.mram.manager import MramManager

__all__ = ["MramArray", "MramBank", "MramController", "MramManager", "WeightCache"]
