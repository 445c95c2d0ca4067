"""How much shared memory models take: Triton hands tensors over to the processes of Python backends in /dev/shm.

Each instance has a region of its own there. It grows to the largest batch that came in and went out, and never shrinks;
where it cannot grow, Triton 2.51 ends by a signal.
"""

from collections.abc import Iterable
from math import prod

from serving.config import ENSEMBLE, ModelConfig, Tensor

MIB = 1 << 20
_REGION = 4 * MIB  # of an instance beside its tensors: 1 MiB at the start, and what growing leaves unused (1 to 3 seen)
_BYTES = {"FP32": 4, "FP16": 2, "INT64": 8, "INT32": 4, "UINT8": 1}


def shared_memory_bytes(configs: Iterable[ModelConfig], devices: int = 1) -> int:
    """The bytes of shared memory that the models of ``configs`` take together at most, all versions that are served.

    About ``max_batch_size`` x H·W·C x instances x versions for each generator, and twice that for an encoder.
    ``devices`` are the GPUs, each of which has the instances. A tensor without a fixed shape counts as one value.
    """
    return sum(_of_model(config) * devices for config in configs if config.backend != ENSEMBLE)


def _of_model(config: ModelConfig) -> int:
    instances = config.instances.count if config.instances else 1
    taken = sum(_row_bytes(tensor) for tensor in config.inputs)
    given = sum(_row_bytes(tensor) or taken for tensor in config.outputs)
    return instances * config.versions * (_REGION + max(config.max_batch_size, 1) * (taken + given))


def _row_bytes(tensor: Tensor) -> int:
    """The bytes of one row; 0 for text: a PNG, say, is at most about as large as the image it is made of."""
    return _BYTES.get(tensor.data_type, 0) * prod(max(side, 1) for side in tensor.dims)
