"""Models for thin clients: NAME_from_seed (a seed to an image) and NAME_png (a seed to a PNG file), or, of a
translator, NAME_png (a PNG file to a PNG file).

Each version is a Python model (``serving/in_triton/models``) that any Triton with a Python backend runs. It asks the
same version of the generator within the server, which Triton calls business logic scripting (BLS), and so answers for
as long as that is served.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.contract import NOISE, SOURCE, latent_inputs
from core.errors import BundleError
from core.images import encode_png
from core.spec import GeneratorSpec
from serving.protocol.model_config import (
    NO_LIMITS,
    PART,
    PYTHON,
    WHOLE,
    Instances,
    ModelConfig,
    Tensor,
    Tensors,
    part_name,
)
from serving.protocol.picture_texts import to_fill_in
from serving.repository.golden import PNG, Reference
from serving.repository.layout import THIN
from serving.repository.release import Release

SCRIPT = "model.py"
_PROGRAMS = Path(__file__).parents[1] / "in_triton" / "models"
_SHARED = ("door.py", "png.py")  # what lies beside each of them
FACTS = "facts.json"  # of a version: the texts that go into its files (serving/protocol/picture_texts.py)
SEED, PNG_TENSOR, BASE64 = Tensor("seed", "INT64", (1,)), Tensor(PNG, "STRING", (1,)), Tensor("base64", "STRING", (1,))
CLASS = Tensor("class", "STRING", (1,), optional=True)  # its name, in place of the label's number
TAKEN_FILES = (Tensor(PNG, "STRING", (1,), optional=True), Tensor("base64", "STRING", (1,), optional=True))
# Inputs of the generator that a thin client may leave out; a label, where it names the class.
OPTIONAL = ("truncation", "codes", "label")
FILES = (PNG_TENSOR, BASE64)  # a file, and the same as text for clients that speak JSON alone
_GOLDEN_SEEDS = range(64)  # among which those of a bundle's golden images are looked for


@dataclass(frozen=True)
class BlsModel:
    """A model without a graph, which asks another: its configuration, and what it is held against."""

    config: ModelConfig
    golden: Reference


def bls_models(whole: ModelConfig, release: Release) -> list[BlsModel]:
    """The models beside ``whole``. Raises BundleError where no golden image was made from one of the first seeds."""
    if release.spec.source is not None:
        return [_of_pictures(whole, release)]
    seeds, rows = golden_seeds(release.spec, release.whole.golden)
    golden = {name: values[rows] for name, values in release.whole.golden.inputs.items()}
    asked = {"seed": seeds[:, None], **{name: golden[name] for name in golden if name not in ("z", NOISE)}}
    images = release.whole.golden.values[rows]
    given = {"from_seed": whole.outputs, "png": FILES}
    return [
        BlsModel(_config(whole, part, _takes(whole), given[part]), Reference(asked, given[part][0].name, images))
        for part in THIN
    ]


def _of_pictures(whole: ModelConfig, release: Release) -> BlsModel:
    """The model beside a translator."""
    # NumPy keeps files as bytes of one length, with zeros behind: PNG files end in none.
    golden = release.whole.golden
    files = np.array([encode_png(picture) for picture in golden.inputs[SOURCE]])[:, None]
    return BlsModel(_config(whole, PNG, TAKEN_FILES, FILES), Reference({PNG: files}, PNG, golden.values))


def own_files(spec: GeneratorSpec, name: str) -> dict[str, bytes]:
    """What runs a version beside the generator ``name``, by the names of the files."""
    program = "seeds.py" if spec.source is None else "pictures.py"
    shared = {file: (_PROGRAMS / file).read_bytes() for file in _SHARED}
    return {SCRIPT: (_PROGRAMS / program).read_bytes(), **shared, FACTS: to_fill_in(spec, name)}


def golden_seeds(spec: GeneratorSpec, golden: Reference) -> tuple[NDArray[np.int64], list[int]]:
    """The seeds that golden latents were drawn from, and the rows they are in."""
    drawn = latent_inputs(spec, _GOLDEN_SEEDS)
    known = {b"".join(drawn[name][seed].tobytes() for name in drawn): seed for seed in _GOLDEN_SEEDS}
    keys = [b"".join(golden.inputs[name][row].tobytes() for name in drawn) for row in range(len(golden))]
    rows = [row for row, key in enumerate(keys) if key in known]
    if not rows:
        raise BundleError(f"its golden images are of none of the seeds 0 to {_GOLDEN_SEEDS[-1]}: export again")
    return np.array([known[keys[row]] for row in rows], np.int64), rows


def _config(whole: ModelConfig, part: str, takes: Tensors, gives: Tensors) -> ModelConfig:
    """Two processes: one draws and packs while the other waits for the generator."""
    return ModelConfig(
        part_name(whole.name, part),
        takes,
        gives,
        backend=PYTHON,
        max_batch_size=whole.max_batch_size,
        queue=NO_LIMITS,
        instances=Instances("KIND_CPU", 2),
        versions=whole.versions,
        parameters={**whole.parameters, PART: part, WHOLE: whole.name},
    )


def _takes(whole: ModelConfig) -> Tensors:
    """A seed, all of the generator's inputs that no seed decides, and a class by its name."""
    others = {tensor.name: tensor for tensor in whole.inputs if tensor.name not in ("z", NOISE)}
    named = (CLASS,) if "label" in others else ()
    return (SEED, *(replace(each, optional=name in OPTIONAL) for name, each in others.items()), *named)
