"""Runs a network on the simulated chip: inputs in, outputs and what they cost out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hdl.config import MRAM_WORD_BYTES, ChipConfig
from hdl.power.domains import Gating
from mmsp.description import Port
from mmsp.errors import InputError
from mmsp.image import Image
from mmsp.inputs import Batch, make_batch
from mmsp.loading import Model, Source, find_config, load_image
from mmsp.simulator.costs import LayerResult, layer_results
from mmsp.simulator.model import ChipModel
from mmsp.simulator.results import RunResult

__all__ = ["LayerResult", "Result", "Simulator"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Outputs of all inferences, and the cost of the first one, which begins with a cold cache."""

    config: ChipConfig
    gating: Gating
    outputs: dict[str, NDArray]
    """By output name, of the declared type; with a leading dimension if the inputs had one."""
    int8_outputs: dict[str, NDArray[np.int8]]
    """The same as the chip has them."""
    cycles: int
    cycles_each: list[int]
    macs: int
    mac_utilisation: float
    """MACs of the network's definition, divided by what the array could do in these cycles."""
    roofline_cycles: int
    """The larger of MACs / MACs a cycle and words of the program / one word a cycle."""
    mram_reads: int
    """MRAM words of 16 bytes."""
    mram_active_cycles: int
    layers: list[LayerResult]
    first: RunResult
    """Counters and power states of the first inference."""

    @property
    def mram_bytes_read(self) -> int:
        """Bytes read from the MRAM."""
        return self.mram_reads * MRAM_WORD_BYTES


class Simulator:
    """A simulated chip with one network in its MRAM, for any number of runs.

    Parameters
    ----------
    model : str, Path, bytes, Graph, Program or Model
        A .tflite file, an .mram image, or what was made of one.
    config : str or ChipConfig, optional
        Which chip; by default the one an image or program is made for, FULL for anything else.
    waves : Path or str, optional
        An ``.fst`` file to record everything to, complete after `close`.
    gating : Gating
        When MRAM banks and activation memory are on, unless a run says otherwise.

    Raises
    ------
    InputError
        When the model or the configuration cannot be used.
    BuildError
        When the simulator cannot be built.
    """

    def __init__(
        self,
        model: Source | Model,
        config: str | ChipConfig | None = None,
        waves: Path | str | None = None,
        gating: Gating = Gating.PER_BURST,
    ):
        self.gating = gating
        self.image: Image = load_image(model, find_config(config))
        self.config = self.image.config
        self.description = self.image.description
        self.chip = ChipModel(self.config, waves)
        self.chip.program(self.image.resident)
        self.set_gating(gating)
        self.reset_state()

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation and complete the waveform."""
        self.chip.close()

    def set_gating(self, gating: Gating) -> None:
        """Choose the policy of the next runs."""
        description = self.description
        self.chip.set_policy(gating, description.footprint, description.held)

    def reset_state(self) -> None:
        """Give all variables their initial values, by a program of the image, as the chip does."""
        if self.image.reset is not None:
            self.chip.run(self.image.reset.first_word)

    def run(
        self,
        inputs: ArrayLike | Mapping[str, ArrayLike] | Batch,
        *,
        reset_state: bool = False,
        gating: Gating | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Result:
        """Run one inference, or a batch of them one after another.

        Parameters
        ----------
        inputs : array or mapping of arrays
            Inputs by name; an array alone for a network of one input.  Of the declared type, or
            real values to be quantised.  One leading dimension more than the network's is a batch.
        reset_state : bool
            Give variables their initial values before each inference; otherwise they keep what the
            one before left, in this run or in an earlier one.
        gating : Gating, optional
            The policy, by default that of the simulator.
        progress : callable, optional
            Called now and then with the inferences and the jobs of the current one that are done.

        Raises
        ------
        InputError
            When the inputs do not fit the network.
        SimulationError
            When the design stops, or the chip ends the run with an error.
        """
        gating = self.gating if gating is None else gating
        self.set_gating(gating)
        batch = inputs if isinstance(inputs, Batch) else self.batch(inputs)
        ports = self.description.outputs
        collected: dict[str, list[NDArray]] = {port.name: [] for port in ports}
        runs: list[RunResult] = []
        for index in range(batch.count):
            if reset_state:
                self.reset_state()
            for port in self.description.inputs:
                self.write(port, port.to_inside(batch.values[port.name][index]))

            def report(_: int, jobs: int, done: int = index) -> None:
                if progress is not None:
                    progress(done, jobs)

            runs.append(self.chip.run(self.image.program.first_word, progress=report))
            for port in ports:
                collected[port.name].append(self.read(port))
        outputs = {
            name: values[0] if batch.single else np.stack(values)
            for name, values in collected.items()
        }
        return self.result(outputs, runs, gating)

    def batch(self, inputs: ArrayLike | Mapping[str, ArrayLike]) -> Batch:
        """Check and convert inputs."""
        ports = self.description.inputs
        if isinstance(inputs, Mapping):
            return make_batch(inputs, ports)
        if len(ports) != 1:
            raise InputError(
                f"the model has {len(ports)} inputs: give a mapping with "
                f"{', '.join(repr(port.name) for port in ports)}"
            )
        return make_batch({ports[0].name: inputs}, ports)

    def write(self, port: Port, values: NDArray[np.int8]) -> None:
        """Write an input to the activation memory."""
        placement = self.description.tensors[port.tensor].placement
        bank, address = placement.addresses()
        self.chip.write_activations(bank, address, placement.pack(port.rearrange(values)))

    def read(self, port: Port) -> NDArray[np.int8]:
        """Read an output from the activation memory."""
        placement = self.description.tensors[port.tensor].placement
        bank, address = placement.addresses()
        stored = placement.unpack(self.chip.read_activations(bank, address))
        return port.rearrange(stored).reshape(port.shape)

    def result(
        self, outputs: dict[str, NDArray[np.int8]], runs: list[RunResult], gating: Gating
    ) -> Result:
        """Add up what the runs cost."""
        first, macs = runs[0], self.description.macs
        array = self.config.macs_per_cycle
        return Result(
            config=self.config,
            gating=gating,
            outputs={
                port.name: port.to_outside(outputs[port.name]) for port in self.description.outputs
            },
            int8_outputs=outputs,
            cycles=first.cycles,
            cycles_each=[run.cycles for run in runs],
            macs=macs,
            mac_utilisation=macs / (first.cycles * array),
            roofline_cycles=max(-(-macs // array), self.image.program.words),
            mram_reads=first.mram_reads,
            mram_active_cycles=first.mram_active_cycles,
            layers=layer_results(self.description, self.config, self.image.program.words, first),
            first=first,
        )
