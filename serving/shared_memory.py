"""How much shared memory models take: Triton's Python backend ends the whole server by a signal where it runs out.

Each stub has a region of a mebibyte that grows with the largest batch it has seen, inputs and outputs side by side, and
never shrinks. Every model is warmed up at its largest batch, so a region has its size from the start.
"""

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from core.errors import ServingError
from serving.config import ONNXRUNTIME, PYTHON, ModelConfig, Tensor
from serving.repository import CONFIG, Model, glance_at

PLACE = Path("/dev/shm")  # noqa: S108 (where Linux keeps it; Triton's Python backend uses nothing else)

_MIB = 1 << 20
_BYTES = {"BOOL": 1, "UINT8": 1, "INT8": 1, "FP16": 2, "BF16": 2, "INT16": 2, "UINT16": 2, "FP64": 8, "INT64": 8,
          "UINT64": 8}  # fmt: skip


def free() -> int:
    """The mebibytes that are free. Raises ServingError where there is no shared memory."""
    try:
        found = os.statvfs(PLACE)
    except OSError as error:
        raise ServingError(f"{PLACE} cannot be used ({error.strerror}): mount a tmpfs there, as Triton needs") from None
    return found.f_bavail * found.f_frsize // _MIB


def needed(config: ModelConfig, bundled: bool) -> int:
    """The mebibytes that all stubs of a version of a model take, 0 where none runs it.

    The ``bundled`` server runs graphs in stubs too, NVIDIA's in itself.
    """
    if config.instances is None or config.backend not in ((PYTHON, ONNXRUNTIME) if bundled else (PYTHON,)):
        return 0
    row = sum(map(_bytes_of, config.inputs)) + _bytes_of_outputs(config)
    return config.instances.count * (1 + math.ceil(max(config.max_batch_size, 1) * row / _MIB))


def needed_by(models: Iterable[Model], bundled: bool) -> dict[str, int]:
    """The same of the versions of ``models`` that a server would load, by name."""
    configs = {model: glance_at(model.path) for model in models}
    return {
        model.name: needed(config, bundled) * min(len(model.versions), config.versions)
        for model, config in configs.items()
    }


def check_shared_memory(models: Iterable[Model], bundled: bool) -> None:
    """Raise ServingError, with the figures, unless there is room for all of ``models``."""
    models = list(models)
    wanted, there = needed_by(models, bundled), free()
    if (total := sum(wanted.values())) <= there:
        return
    largest = max(models, key=lambda model: wanted[model.name])
    batch = _batch_that_fits(wanted, there, glance_at(largest.path).max_batch_size)
    raise ServingError(
        f"the models need {total} MiB of {PLACE}, which has {there} free: give it more (docker run --shm-size "
        f"{2 * total}m)"
        + (f", or lower max_batch_size to {batch} in {CONFIG}, of '{largest.name}' above all" if batch else "")
    )


def _batch_that_fits(wanted: Mapping[str, int], there: int, batch: int) -> int:
    """The largest power of two of images in a batch with which all would fit; 0 if there is none."""
    share = there / sum(wanted.values())
    return 1 << math.floor(math.log2(batch * share)) if batch * share >= 1 else 0


def _bytes_of(tensor: Tensor) -> int:
    return math.prod(tensor.dims) * _BYTES.get(tensor.data_type, 4)


def _bytes_of_outputs(config: ModelConfig) -> int:
    """Files are at most about as large as the images that they are made of, which are what goes in."""
    files = any(tensor.data_type == "STRING" for tensor in config.outputs)
    return sum(map(_bytes_of, config.inputs if files else config.outputs))
