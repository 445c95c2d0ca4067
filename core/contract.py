"""The contract every exported graph keeps, whatever its family: names, types and shapes, and samples to feed it.

Torch-free: export, verification and serving read it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.examples import pictures
from core.images import Images
from core.latents import LAST_SEED, latents
from core.spec import IGNORES_TRUNCATION, GeneratorSpec

OPSET = 18
BATCH = "batch"  # the name of the first dimension, the only dynamic one
ONE = "batch_of_one"  # its name where it may be nothing but 1 (Triton and TensorRT want it to be dynamic all the same)
NOISE = "noise"  # the name of that input
SOURCE = "source"  # and of a translator's

Inputs = Mapping[str, NDArray[Any]]  # by name, each (n, …)

_PIXELS = {1: "grey", 3: "RGB", 4: "RGBA, straight alpha"}

# What the graph's own metadata says about it.
SPEC_KEY = "ganfoundry_spec"
SEEDS_KEY = "ganfoundry_seed_algorithm"
VERSION_KEY = "ganfoundry_format_version"
CHECKPOINT_KEY = "ganfoundry_checkpoint_sha256"
TOOLS_KEY = "ganfoundry_tools"  # name to version, JSON
JUDGED_KEY = "ganfoundry_judged"  # KID and what it rests on, JSON; {} where it is not known


@dataclass(frozen=True)
class Port:
    """An input or output: its NumPy dtype name, and its shape without the batch dimension."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    meaning: str


def batch_of(spec: GeneratorSpec) -> str:
    """The name of the first dimension of every port."""
    return BATCH if spec.most_at_once(2) > 1 else ONE


def input_ports(spec: GeneratorSpec) -> tuple[Port, ...]:
    """The inputs of the graph, in order: a picture where the kind is ``image``, else a latent and what goes with it."""
    if spec.source is not None:
        shape = (spec.source.height, spec.source.width, spec.source.channels)
        return (Port(SOURCE, "uint8", shape, f"{_PIXELS[spec.source.channels]}: the picture to translate"),)
    return (*mapping_ports(spec), *_noise_ports(spec))


def mapping_ports(spec: GeneratorSpec) -> tuple[Port, ...]:
    """The inputs of the mapping graph, of a family that has one: those of the whole but the noise."""
    truncation = "1 as trained; towards 0, nearer the mean image"
    if spec.options.get(IGNORES_TRUNCATION):
        truncation = "ignored: this generator has no truncation"

    ports = [
        Port("z", "float32", (spec.latent_dim,), "standard normal latent"),
        Port("truncation", "float32", (1,), truncation),
    ]

    if spec.classes:
        ports.append(Port("label", "int64", (1,), f"class, 0 to {len(spec.classes) - 1}"))
    if spec.codes:
        ports.append(Port("codes", "float32", (spec.codes,), "continuous codes"))
    return tuple(ports)


def synthesis_ports(spec: GeneratorSpec, styles: Port) -> tuple[Port, ...]:
    """The inputs of the synthesis graph: ``styles``, as the mapping graph gives them, and noise where that is one."""
    return (styles, *_noise_ports(spec))


def _noise_ports(spec: GeneratorSpec) -> tuple[Port, ...]:
    meaning = "standard normal, what follows the latent in a seed's stream; 0 for none"
    return (Port(NOISE, "float32", (spec.noise,), meaning),) if spec.noise else ()


def output_port(spec: GeneratorSpec) -> Port:
    """The one output."""
    return Port("image", "uint8", (spec.height, spec.width, spec.channels), _PIXELS[spec.channels])


def style_port(layers: int, style_dim: int) -> Port:
    """Between the mapping and the synthesis graph of a family that has both: a style for each layer, coarse first."""
    return Port("w", "float32", (layers, style_dim), "a style for each layer, coarse first")


def latent_inputs(spec: GeneratorSpec, seeds: Sequence[int]) -> dict[str, NDArray[np.float32]]:
    """What a seed decides, by name: ``z``, and ``noise`` where it is an input.

    A row's noise goes on where its latent ends, in the same stream: a seed has the same ``z`` with it and without.
    """
    values = latents(seeds, spec.latent_dim + spec.noise)
    inputs = {"z": np.ascontiguousarray(values[:, : spec.latent_dim])}
    if spec.noise:
        inputs[NOISE] = np.ascontiguousarray(values[:, spec.latent_dim :])
    return inputs


def sample_inputs(
    spec: GeneratorSpec, seeds: Sequence[int], truncation: float = 1.0, examples: Images | None = None
) -> dict[str, NDArray[Any]]:
    """Inputs by name for one image a seed. Labels and codes follow from the seed too, so that all of them vary.

    Translators are given pictures: those of ``examples`` ``(m, h, w, c)`` in turn, moved and mirrored as the seed
    says, or drawn ones where there are none (core/examples.py).
    """
    if spec.source is not None:
        return {SOURCE: pictures(spec.source, seeds, examples)}

    count = len(seeds)
    inputs: dict[str, NDArray[Any]] = {
        **latent_inputs(spec, seeds),
        "truncation": np.full((count, 1), truncation, np.float32),
    }

    if spec.classes:
        inputs["label"] = np.asarray(seeds, np.int64).reshape(count, 1) % len(spec.classes)
    if spec.codes:
        inputs["codes"] = latents([LAST_SEED - seed for seed in seeds], spec.codes)
    return inputs


def sheet_inputs(
    spec: GeneratorSpec, count: int, examples: Images | None = None
) -> tuple[dict[str, NDArray[Any]], int]:
    """Inputs for a sheet of at most ``count`` images, and its columns: fixed seeds, and where there are classes, a row
    for each, of the same seeds. Codes are 0, as clients leave them. Translators are shown ``examples`` as they are."""
    columns = math.ceil(math.sqrt(count))
    if spec.source is not None and examples is not None:
        inputs: dict[str, NDArray[Any]] = {SOURCE: examples[:count]}
        columns = math.ceil(math.sqrt(len(inputs[SOURCE])))
    elif not spec.classes:
        inputs = sample_inputs(spec, range(count))
    else:
        shown = min(len(spec.classes), count)
        columns = count // shown
        inputs = sample_inputs(spec, list(range(columns)) * shown)
        inputs["label"] = np.repeat(np.arange(shown), columns)[:, None]

    if spec.codes:
        inputs["codes"] = np.zeros_like(inputs["codes"])
    return inputs, columns


def count_of(inputs: Inputs) -> int:
    """How many rows the inputs have, whatever they are."""
    return len(next(iter(inputs.values())))


def rows(inputs: Inputs) -> list[dict[str, NDArray[Any]]]:
    """The inputs of a batch as batches of one."""
    return batches(inputs, 1)


def batches(inputs: Inputs, size: int) -> list[dict[str, NDArray[Any]]]:
    """The inputs a few rows at a time, ``size`` or, at the end, fewer."""
    starts = range(0, count_of(inputs), size)
    return [{name: value[start : start + size] for name, value in inputs.items()} for start in starts]
