"""What graphs are tried with, of either kind: golden inputs, every truncation, rows that differ, and far ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.contract import NOISE, SOURCE, Inputs, sample_inputs
from core.examples import extremes, pictures
from core.images import Images
from core.spec import GeneratorSpec

GOLDEN_SEEDS = range(8)  # each at every truncation
GOLDEN_SOURCES = range(16)  # all that travel with a translator
TRUNCATIONS = (1.0, 0.5)

PROBED = 256
FAR = 32  # of them, the last, with a component at 4 standard deviations, or drawn pictures
DEVIATIONS = 4.0
_FIRST_SEED = 20_000


def golden_inputs(spec: GeneratorSpec, examples: Images | None = None) -> dict[str, NDArray[Any]]:
    """Every golden seed at every truncation; of a translator its ``examples``, or drawn ones where it has none."""
    if spec.source is not None:
        return sample_inputs(spec, GOLDEN_SOURCES, examples=examples)
    parts = [sample_inputs(spec, GOLDEN_SEEDS, truncation) for truncation in TRUNCATIONS]
    return {port: np.concatenate([part[port] for part in parts]) for port in parts[0]}


def examples_in(inputs: Inputs) -> Images | None:
    """The pictures that golden inputs hold for a translator; None for what takes latents."""
    return inputs.get(SOURCE)


def tried_inputs(
    spec: GeneratorSpec, seeds: Sequence[int], examples: Images | None = None
) -> dict[str, dict[str, NDArray[Any]]]:
    """Inputs of ``seeds`` in each way that there is, by what an error says of it: at every truncation, or as it is.

    Each way sees seeds of its own, 50 further on.
    """
    if spec.source is not None:
        return {"": sample_inputs(spec, seeds, examples=examples)}
    further = ([seed + 50 * step for seed in seeds] for step in range(len(TRUNCATIONS)))
    return {f", truncation {at}": sample_inputs(spec, each, at) for at, each in zip(TRUNCATIONS, further, strict=True)}


def mixed_inputs(spec: GeneratorSpec, seeds: Sequence[int], examples: Images | None = None) -> dict[str, NDArray[Any]]:
    """A batch in which every row has its own truncation, where there is one."""
    inputs = sample_inputs(spec, seeds, examples=examples)
    if "truncation" in inputs:
        inputs["truncation"] = np.linspace(0, 1, len(seeds), dtype=np.float32).reshape(len(seeds), 1)
    return inputs


def probe(spec: GeneratorSpec, examples: Images | None = None) -> dict[str, NDArray[Any]]:
    """``PROBED`` rows of every input at truncation 1; in the last ``FAR`` one component each, in turn, is at ±4 σ.

    Chance puts one component in 16,000 there, so about one latent of 128 components in 125. Of a translator, the last
    rows are drawn pictures, unlike what it learned from.
    """
    inputs = sample_inputs(spec, range(_FIRST_SEED, _FIRST_SEED + PROBED), examples=examples)
    if spec.source is not None:
        inputs[SOURCE][-FAR:] = pictures(spec.source, range(_FIRST_SEED, _FIRST_SEED + FAR))
        return inputs
    for step in range(FAR):
        component = step * spec.latent_dim // FAR if spec.latent_dim > FAR else step % spec.latent_dim
        inputs["z"][step - FAR, component] = DEVIATIONS * (-1) ** step
    return inputs


def stretched(spec: GeneratorSpec) -> dict[str, NDArray[Any]]:
    """``FAR`` rows that no client comes near: every component of latent and noise four times as far out, or pictures
    of nothing but the lowest and highest levels."""
    if spec.source is not None:
        return {SOURCE: extremes(spec.source, FAR)}
    inputs = sample_inputs(spec, range(_FIRST_SEED + PROBED, _FIRST_SEED + PROBED + FAR))
    for name in {"z", NOISE} & set(inputs):
        inputs[name] *= DEVIATIONS
    return inputs
