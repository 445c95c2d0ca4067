"""How much shared memory models take: Triton's Python backend ends the whole server by a signal where it runs out.

Each stub has a region of a mebibyte that grows with the largest batch it has seen, inputs and outputs side by side, and
never shrinks. Graphs are warmed up at their largest batch, so their regions have their size from the start.
"""

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from core.contract import input_ports
from core.errors import ServingError
from core.spec import GeneratorSpec
from serving.in_triton.models.png import most_text
from serving.protocol.model_config import ENSEMBLE, ONNXRUNTIME, PYTHON, SPEC, ModelConfig, Tensor
from serving.repository.configs import asks_others, read_config_lenient
from serving.repository.layout import CONFIG
from serving.repository.versions import Model

PLACE = Path("/dev/shm")  # noqa: S108 (where Linux keeps it; Triton's Python backend uses nothing else)

MIB = 1 << 20
_START = MIB  # of a region that has seen nothing
_UNUSED = 3 * MIB  # what a region may have grown by and not use, at most of what was seen
_BYTES = {"BOOL": 1, "UINT8": 1, "INT8": 1, "FP16": 2, "BF16": 2, "INT16": 2, "UINT16": 2, "FP64": 8, "INT64": 8,
          "UINT64": 8, "STRING": 0}  # fmt: skip


def free() -> int:
    """The mebibytes that are free. Raises ServingError where there is no shared memory."""
    try:
        found = os.statvfs(PLACE)
    except OSError as error:
        raise ServingError(f"{PLACE} cannot be used ({error.strerror}): mount a tmpfs there, as Triton needs") from None
    return found.f_bavail * found.f_frsize // MIB


def taken(prefix: str) -> int:
    """The mebibytes of regions whose names start with ``prefix``; they have not yet grown to what they may need."""
    return sum(region.stat().st_blocks * 512 for region in PLACE.glob(f"{prefix}*")) // MIB


def needed(config: ModelConfig, bundled: bool) -> int:
    """The mebibytes that all stubs of a version of a model take, 0 where none runs it.

    The ``bundled`` server runs graphs in stubs too, NVIDIA's in itself.
    """
    if config.instances is None or config.backend not in ((PYTHON, ONNXRUNTIME) if bundled else (PYTHON,)):
        return 0
    return config.instances.count * -(-(_START + _batch_bytes(config)) // MIB)


def shared_memory_bytes(configs: Iterable[ModelConfig], devices: int = 1) -> int:
    """The bytes to provide for all models of ``configs``, in all the versions that are served, in stubs or not.

    ``devices`` are the GPUs, each of which has the instances. More than ``needed``: regions grow in steps.
    """
    return sum(
        devices * config.versions * (config.instances.count if config.instances else 1)
        * (_START + _UNUSED + _batch_bytes(config))
        for config in configs if config.backend != ENSEMBLE
    )  # fmt: skip


def needed_by(models: Iterable[Model], bundled: bool) -> dict[str, int]:
    """The same of the versions of ``models`` that a server would load, by name."""
    configs = {model: read_config_lenient(model.path) for model in models}
    return {
        model.name: needed(config, bundled) * min(len(model.versions), config.versions)
        for model, config in configs.items()
    }


def check_shared_memory(models: Iterable[Model], bundled: bool, spoken_for: int = 0) -> None:
    """Raise ServingError, with the figures, unless there is room for all of ``models``.

    ``spoken_for`` are mebibytes that are free, and that those that are served may come to need.
    """
    models = list(models)
    wanted, there = needed_by(models, bundled), max(free() - spoken_for, 0)
    if (total := sum(wanted.values())) <= there:
        return

    # What would help: more of it, or smaller batches.
    largest = max(models, key=lambda model: wanted[model.name])
    how = "to spare" if spoken_for else "free"
    batch = _batch_that_fits(wanted, there, read_config_lenient(largest.path).max_batch_size)
    raise ServingError(
        f"the models need {total} MiB of {PLACE}, which has {there} {how}: give it more (docker run --shm-size "
        f"{2 * total}m)"
        + (f", or lower max_batch_size to {batch} in {CONFIG}, of '{largest.name}' above all" if batch else "")
    )


def _batch_that_fits(wanted: Mapping[str, int], there: int, batch: int) -> int:
    """The largest power of two of images in a batch with which all would fit; 0 if there is none."""
    share = there / sum(wanted.values())
    return 1 << math.floor(math.log2(batch * share)) if batch * share >= 1 else 0


def _batch_bytes(config: ModelConfig) -> int:
    """The bytes of the largest batch, in and out. A file that we write is as large as its image at most, one that is
    taken as large as its reader lets it be; as text either is a third larger.

    Files are given when the images that they were made of, and that others gave, are there no longer.
    """
    spec, own = _spec_asked(config), sum(map(_bytes_of, config.inputs))
    asked, image = _bytes_asked_for(spec) if spec else (0, 0)
    if spec and spec.source:  # a translator's model for thin clients, which takes files
        own += most_text(spec.source.height, spec.source.width)
    others, sizes = asked + image, [_bytes_of(tensor) for tensor in config.outputs]
    given = sum(size or (image or own) * 4 // 3 for size in sizes)
    return max(config.max_batch_size, 1) * (own + (others + given if all(sizes) else max(others, given)))


def _spec_asked(config: ModelConfig) -> GeneratorSpec | None:
    """The spec of the generator that a model for thin clients asks; None for any other model."""
    text = config.parameters.get(SPEC) if asks_others(config) else None
    return GeneratorSpec.from_json(text) if text else None


def _bytes_asked_for(spec: GeneratorSpec) -> tuple[int, int]:
    """The bytes of one row of what a generator is asked with, and of the image that it gives."""
    asked = sum(math.prod(port.shape) * np.dtype(port.dtype).itemsize for port in input_ports(spec))
    return asked, spec.height * spec.width * spec.channels


def _bytes_of(tensor: Tensor) -> int:
    """The bytes of one row; a side without a fixed length counts as one, and text as nothing."""
    return math.prod(max(side, 1) for side in tensor.dims) * _BYTES.get(tensor.data_type, 4)
