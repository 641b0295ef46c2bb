"""Conversion to Verilog: the same text in every process, whatever Python's hashes are."""

import os
import re
import subprocess
import sys

CONVERT = """
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from verif.verilog import to_verilog

class ManyClocks(wiring.Component):
    i: In(4)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        for index, domain in enumerate(("sync", "aon", "audio", "pixel")):
            m.d[domain] += self.o[index].eq(self.i[index])
        return m

print(to_verilog(ManyClocks(), name="top"))
"""


def test_clocks_are_in_order():
    texts = {
        subprocess.run(
            [sys.executable, "-c", CONVERT],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    (text,) = texts
    (ports,) = re.findall(r"^module \\?top\s*\((.*?)\)", text, re.MULTILINE)
    clocks = re.findall(r"\w*clk\b", ports)
    assert clocks == ["aon_clk", "audio_clk", "pixel_clk", "clk"]
