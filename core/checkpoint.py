"""The slim generator file: weights as safetensors, the spec as its metadata. Data, never code: nothing is unpickled."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from core.errors import CheckpointError, SpecError, first_line
from core.files import write_atomic
from core.networks import build_maker
from core.networks.base import Maker
from core.spec import GeneratorSpec

_SPEC_KEY = "ganfoundry_spec"


def save_generator(path: Path, generator: Maker, spec: GeneratorSpec | None = None) -> None:
    """Write the weights and buffers of ``generator`` with its spec (or ``spec``, provenance fresher), atomically."""
    tensors = {name: value.contiguous() for name, value in generator.state_dict().items()}
    write_atomic(path, save(tensors, {_SPEC_KEY: (spec or generator.spec).to_json()}))


def read_spec(path: Path) -> GeneratorSpec:
    """The spec of a generator file, without reading its weights."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(f"there is no generator file at {path}: train one with 'train'") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable generator file ({error})") from None

    if _SPEC_KEY not in metadata:
        raise CheckpointError(f"{path} holds weights without a Ganfoundry spec: it was written by another program")
    try:
        return GeneratorSpec.from_json(metadata[_SPEC_KEY])
    except SpecError as error:
        raise CheckpointError(f"{path}: {error}") from None


def load_generator(path: Path, device: torch.device | str = "cpu") -> Maker:
    """The generator in ``path``, in evaluation mode. Raises CheckpointError if weights and spec do not fit."""
    spec = read_spec(path)
    try:
        generator = build_maker(spec)
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        generator.load_state_dict(tensors)
    except SpecError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (SafetensorError, RuntimeError, OSError) as error:
        raise CheckpointError(f"{path}: the weights do not fit the spec ({first_line(error)})") from None
    return generator.to(device).eval()
