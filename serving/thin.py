"""Doors for thin clients: NAME_from_seed (a seed to an image) and NAME_png (a seed to a PNG file), as ensembles.

    seed, class ─NAME_latents→ z, label ─NAME→ image ─NAME_encoder→ png, base64
         └───────────────── seed, truncation, label, codes ──┘

NAME_latents and NAME_encoder are Python models (``serving/models/``) that any Triton with a Python backend runs. An
ensemble names the version of each step, so that it never mixes two; there is one version of it at a time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.contract import NOISE, latent_inputs
from core.errors import BundleError
from core.spec import GeneratorSpec
from serving.config import (
    ENSEMBLE,
    NO_LIMITS,
    PART,
    PYTHON,
    WHOLE,
    Instances,
    ModelConfig,
    Step,
    Tensor,
    Tensors,
    part_name,
)
from serving.facts import to_fill_in
from serving.golden import PNG, Reference
from serving.release import Release

THIN = ("latents", "encoder", "from_seed", "png")  # parts of a generator on a server, beside those of a bundle
SCRIPT = "model.py"
FACTS = "facts.json"  # of a version of NAME_encoder: the texts that go into its files (serving/facts.py)
SEED, PNG_TENSOR, BASE64 = Tensor("seed", "INT64", (1,)), Tensor(PNG, "STRING", (1,)), Tensor("base64", "STRING", (1,))
CLASS = Tensor("class", "STRING", (1,), optional=True)  # its name, in place of the label's number
# Inputs of the generator that a thin client may leave out; a label, where it names the class.
OPTIONAL = ("truncation", "codes", "label")
FILES = (PNG_TENSOR, BASE64)  # what an encoder gives: a file, and the same as text for clients that speak JSON alone
_GOLDEN_SEEDS = range(64)  # among which those of a bundle's golden images are looked for


@dataclass(frozen=True)
class ThinModel:
    """A model without a graph: its configuration, its version's own files, and what it is held against."""

    config: ModelConfig
    files: Mapping[str, bytes | Path]
    golden: Reference


def thin_models(whole: ModelConfig, release: Release, version: int) -> list[ThinModel]:
    """The four models beside ``whole``. Raises BundleError for golden images of no seed that is known."""
    seeds, rows = golden_seeds(release.spec, release.whole.golden)
    golden = {name: values[rows] for name, values in release.whole.golden.inputs.items()}
    images = release.whole.golden.values[rows]
    asked = {"seed": seeds[:, None], **{name: golden[name] for name in golden if name not in ("z", NOISE)}}
    steps = _steps(whole, version)
    drawn = {"seed": asked["seed"], **{name: asked[name] for name in asked if name in OPTIONAL}}
    given = _asked_tensors(whole)
    takes = (*whole.outputs, *_said_tensors(whole))
    encoder = _python(whole, "encoder", takes, FILES, Reference({"image": images}, PNG, images), 2)
    return [
        # Drawing takes no time to speak of, so nothing piles up before it: one instance.
        _python(whole, "latents", *_latents_tensors(whole), Reference(drawn, "z", golden["z"]), 1),
        replace(encoder, files={**encoder.files, FACTS: to_fill_in(release.spec, whole.name)}),
        _ensemble(whole, "from_seed", given, whole.outputs, steps[:2], Reference(asked, "image", images)),
        _ensemble(whole, "png", given, FILES, steps, Reference(asked, PNG, images)),
    ]


def golden_seeds(spec: GeneratorSpec, golden: Reference) -> tuple[NDArray[np.int64], list[int]]:
    """The seeds that golden latents were drawn from, and the rows they are in."""
    drawn = latent_inputs(spec, _GOLDEN_SEEDS)
    known = {b"".join(drawn[name][seed].tobytes() for name in drawn): seed for seed in _GOLDEN_SEEDS}
    keys = [b"".join(golden.inputs[name][row].tobytes() for name in drawn) for row in range(len(golden))]
    rows = [row for row, key in enumerate(keys) if key in known]
    if not rows:
        raise BundleError(f"its golden images are of none of the seeds 0 to {_GOLDEN_SEEDS[-1]}: export again")
    return np.array([known[keys[row]] for row in rows], np.int64), rows


def _latents_tensors(whole: ModelConfig) -> tuple[Tensors, Tensors]:
    by_name = {tensor.name: tensor for tensor in whole.inputs}
    left_out = [by_name[name] for name in OPTIONAL if name in by_name]
    takes = (SEED, *(replace(each, optional=True) for each in left_out), *_named(by_name))
    drawn = [by_name[name] for name in ("z", NOISE) if name in by_name]
    gives = (*drawn, *(Tensor(f"given_{each.name}", each.data_type, each.dims) for each in left_out))
    return takes, gives


def _asked_tensors(whole: ModelConfig) -> Tensors:
    """What an ensemble takes: a seed, all of the generator's inputs that no seed decides, and a class by its name."""
    others = {tensor.name: tensor for tensor in whole.inputs if tensor.name not in ("z", NOISE)}
    return (SEED, *(replace(each, optional=name in OPTIONAL) for name, each in others.items()), *_named(others))


def _said_tensors(whole: ModelConfig) -> Tensors:
    """What an encoder may be told, so that its files say it: the seed, and what a client may leave out."""
    others = [each for each in whole.inputs if each.name in OPTIONAL]
    return tuple(replace(each, optional=True) for each in (SEED, *others))


def _named(inputs: Iterable[str]) -> Tensors:
    """The input for a class's name, where the generator's ``inputs`` have a label."""
    return (CLASS,) if "label" in inputs else ()


def _steps(whole: ModelConfig, version: int) -> tuple[Step, ...]:
    """Latents, generator, encoder. Tensors go by their names, what may be left out by that of what is given on."""
    takes, gives = _latents_tensors(whole)
    inside = {name: f"given_{name}" if name in OPTIONAL else name for name in (each.name for each in whole.inputs)}
    said = {each.name: inside.get(each.name, each.name) for each in _said_tensors(whole)}
    return (
        Step(part_name(whole.name, "latents"), version, _same(takes), _same(gives)),
        Step(whole.name, version, inside, _same(whole.outputs)),
        Step(part_name(whole.name, "encoder"), version, {**_same(whole.outputs), **said}, _same(FILES)),
    )


def _same(tensors: Tensors) -> dict[str, str]:
    return {tensor.name: tensor.name for tensor in tensors}


def _python(whole: ModelConfig, part: str, takes: Tensors, gives: Tensors, golden: Reference, count: int) -> ThinModel:
    how = {"instances": Instances("KIND_CPU", count), "queue": NO_LIMITS, "versions": whole.versions}
    config = _config(whole, part, takes, gives, backend=PYTHON, **how)
    return ThinModel(config, {SCRIPT: Path(__file__).parent / "models" / f"{part}.py"}, golden)


def _ensemble(
    whole: ModelConfig, part: str, takes: Tensors, gives: Tensors, steps: tuple[Step, ...], golden: Reference
) -> ThinModel:
    return ThinModel(
        _config(whole, part, takes, gives, backend=ENSEMBLE, queue=None, instances=None, steps=steps), {}, golden
    )


def _config(whole: ModelConfig, part: str, takes: Tensors, gives: Tensors, **how: Any) -> ModelConfig:
    parameters = {**whole.parameters, PART: part, WHOLE: whole.name}
    name = part_name(whole.name, part)
    return ModelConfig(name, takes, gives, max_batch_size=whole.max_batch_size, parameters=parameters, **how)
