"""One inference of a network on the RTL: what it costs, and whether it is right."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hdl.config import FULL, ChipConfig
from mmsp.bench.further_networks import FURTHER
from mmsp.bench.mlperf_tiny import PEERS, Network, Peer, recognise
from mmsp.clock import CORE_HZ
from mmsp.errors import InputError
from mmsp.image import is_image
from mmsp.inputs import random_batch, read_file
from mmsp.loading import Model, Source, load_image, load_model
from mmsp.references import Comparison, compare
from mmsp.simulator.simulator import Result, Simulator

__all__ = ["Measurement", "Unsupported", "measure", "prepare"]


class Unsupported(InputError):
    """A network that the compiler refuses: ``model`` is its name, ``reason`` the sentence."""

    def __init__(self, model: str, reason: str):
        # Not every sentence says which of several networks it is about.
        super().__init__(reason if model in reason else f"{model}: {reason}")
        self.model, self.reason = model, reason


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One network on one chip.  ``network`` is None when it is none of MLPerf Tiny."""

    model: str
    network: Network | None
    weight_bytes: int
    result: Result
    comparison: Comparison

    @property
    def title(self) -> str | None:
        """What the network is, when it is known."""
        if self.network is not None:
            return f"{self.network.key}, {self.network.title}"
        return next((entry.title for entry in FURTHER if entry.file == self.model), None)

    @property
    def macs_per_cycle(self) -> float:
        """MACs of the network's definition, over all cycles."""
        return self.result.macs / self.result.cycles

    @property
    def roofline_ratio(self) -> float:
        """Cycles over those of the roofline: 1 is the best there is."""
        return self.result.cycles / self.result.roofline_cycles

    @property
    def microseconds(self) -> float:
        """Time of one inference at `CORE_HZ`."""
        return self.result.cycles * 1e6 / CORE_HZ

    @property
    def peers(self) -> list[tuple[Peer, float, float]]:
        """Those with a figure for this network, it in thousand cycles, and our cycles over it."""
        if self.network is None:
            return []
        key, cycles = self.network.key, self.result.cycles
        return [
            (peer, peer.kilocycles[key], cycles / (1000 * peer.kilocycles[key]))
            for peer in PEERS
            if key in peer.kilocycles
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        result = self.result
        return {
            "model": self.model,
            "mlperf_tiny": self.network.key if self.network else None,
            "title": self.title,
            "weight_bytes": self.weight_bytes,
            "macs": result.macs,
            "cycles": result.cycles,
            "macs_per_cycle": self.macs_per_cycle,
            "mac_utilisation": result.mac_utilisation,
            "roofline_cycles": result.roofline_cycles,
            "roofline_ratio": self.roofline_ratio,
            "mram_bytes_read": result.mram_bytes_read,
            "energy_uj": None,
            "microseconds": self.microseconds,
            "layers": [vars(layer) for layer in result.layers],
            "bit_exact": {
                "against": list(self.comparison.mismatches),
                "mismatches": self.comparison.total,
            },
            "peers": [
                {
                    "name": peer.name,
                    "kilocycles": kilocycles,
                    "ratio": ratio,
                    "source": peer.source,
                }
                for peer, kilocycles, ratio in self.peers
            ],
        }


def prepare(source: Source, config: ChipConfig | None = None, *, name: str | None = None) -> Model:
    """Load and compile a network, so that whatever is wrong with it is said before any simulation.

    Parameters
    ----------
    source : str, Path, bytes, Graph or Program
        The network, with its graph: the golden model needs one.
    config : ChipConfig, optional
        Which chip; FULL by default.
    name : str, optional
        What to call it, by default the file's name.

    Raises
    ------
    Unsupported
        When it is no network, or the compiler refuses it.
    InputError
        When there is no such file, or it is an image.
    """
    if isinstance(source, str | Path):
        name = name or Path(source).name
        if is_image(read_file(Path(source), "model")):
            raise InputError(
                f"{name!r} is an image, which holds no graph for the golden model: benchmark the "
                ".tflite file it was made of"
            )
    try:
        model = load_model(source)
        image = load_image(model, config or FULL)
    except InputError as error:
        raise Unsupported(name or "the network", str(error)) from None
    assert model.graph is not None, "only an image has no graph"
    return replace(model, name=name or model.name, image=image)


def measure(
    model: Model, *, seed: int = 1, progress: Callable[[int, int], None] | None = None
) -> Measurement:
    """Run one inference, from a cold cache, of random values and compare its outputs.

    Parameters
    ----------
    model : Model
        From `prepare`.
    seed : int
        Of the input: the same seed gives the same values, and the same cycles.
    progress : callable, optional
        As `Simulator.run` takes it.

    Raises
    ------
    SimulationError, BuildError
        When the design stops, or cannot be built.
    """
    assert model.graph is not None, "prepare refuses images"
    assert model.image is not None, "prepare compiles"
    batch = random_batch(model.image.description.inputs, seed)
    with Simulator(model) as simulator:
        result = simulator.run(batch, progress=progress)
    tensors = model.graph.tensors.values()
    weight_bytes = sum(tensor.data.nbytes for tensor in tensors if tensor.data is not None)
    return Measurement(
        model=model.name,
        network=recognise(result.macs, weight_bytes),
        weight_bytes=weight_bytes,
        result=result,
        comparison=compare("rtl", result.outputs, model, batch),
    )
