# amaranth: UnusedElaboratable=no

"""Crop and scaler: hardware equals model, and the overlaps of an axis are proved."""

import pytest
from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.image.overlap import Overlap
from hdl.image.scaler import Scaler
from verif.formal import prove
from verif.sim import simulate

MOST = 5


class Line(wiring.Component):
    """`Overlap` over line after line of any legal sizes, and what follows from its definition.

    After ``n`` values, ``n * outputs`` has been given to outputs: ``source`` to each one that has
    ended, and the rest to the one in progress.
    """

    step: In(1)
    source: In(range(MOST + 1))
    outputs: In(range(MOST + 1))

    def elaborate(self, platform):
        m = Module()
        m.submodules.overlap = overlap = Overlap(MOST, MOST)
        source, outputs = Signal(range(MOST + 1), init=1), Signal(range(MOST + 1), init=1)
        place, ended, given = Signal(range(MOST)), Signal(range(MOST + 1)), Signal(range(MOST + 1))
        first, last = place == 0, place == overlap.source - 1
        legal = (self.outputs != 0) & (self.outputs <= self.source) & (self.source <= MOST)
        m.d.comb += [
            overlap.source.eq(Mux(first, Mux(legal, self.source, 1), source)),
            overlap.outputs.eq(Mux(first, Mux(legal, self.outputs, 1), outputs)),
            overlap.step.eq(self.step),
            overlap.first.eq(first),
        ]
        with m.If(self.step):
            left_over = Mux(overlap.ends, overlap.rest, given + overlap.part)
            m.d.sync += [
                source.eq(overlap.source),
                outputs.eq(overlap.outputs),
                place.eq(Mux(last, 0, place + 1)),
                ended.eq(Mux(last, 0, ended + overlap.ends)),
                given.eq(Mux(last, 0, left_over)),
                Assert(~overlap.ends | (given + overlap.part == overlap.source), "not filled"),
                Assert(overlap.ends | (overlap.part == overlap.outputs), "a value divided"),
                Assert(overlap.part + overlap.rest == overlap.outputs, "a value's length"),
                Assert(overlap.index == ended, "another output"),
                Assert(~last | overlap.ends, "a line that ends in an output"),
                Assert(~last | (overlap.rest == 0), "beyond the line's end"),
                Assert(~last | (ended == overlap.outputs - 1), "outputs of a line"),
            ]
        # What the induction needs to know about a line in progress.
        m.d.sync += [
            Assert(first | (place * outputs == ended * source + given)),
            Assert(first | ((overlap.kept == source - given) & (overlap.number == ended))),
            Assert(~first | ((ended == 0) & (given == 0))),
            Assert(first | (place < source)),
            Assert((outputs != 0) & (outputs <= source) & (source <= MOST)),
            Assert(first | (given < source)),
        ]
        return m


@pytest.mark.formal
def test_overlaps_of_a_line_fill_its_outputs():
    prove(Line(), name="image_overlap", max_steps=4)


@pytest.mark.sim
def test_scaler_matches_model():
    simulate(Scaler(), bench="verif.tb_image_scaler", name="image_scaler")
