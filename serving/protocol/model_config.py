"""What Triton must know about a model, as plain values; ``pbtxt`` writes and reads them as ``config.pbtxt``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

# The parameters that tell a client what it is talking to. Triton's own backends ignore names they do not know.
SPEC = "ganfoundry_spec"
BUNDLE = "ganfoundry_bundle_sha256"
PART = "ganfoundry_part"  # which part of a generator a model is, where it is one
WHOLE = "ganfoundry_part_of"  # and the model that it is a part of
THREADS = "intra_op_thread_count"  # of ONNX Runtime's sessions, by the name that NVIDIA's backend gives it

ONNXRUNTIME, PYTHON, TENSORRT, ENSEMBLE = "onnxruntime", "python", "tensorrt", "ensemble"


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, Triton's data type (``FP32`` …) and its shape without the batch.

    An ``optional`` input may be left out of a request.
    """

    name: str
    data_type: str
    dims: tuple[int, ...]
    optional: bool = False


Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Queue:
    """How requests wait. ``delay_us`` is how long one may wait for others to share its batch, in microseconds; those
    that come while a batch is run share the next one in any case.

    More than ``size`` waiting requests, or one that has waited for ``timeout_us``, are refused at once: a client that
    hears so can ask elsewhere or later, one that waits for ever cannot. 0 is no limit. A request may set a shorter time
    of its own.
    Requests are joined up to one of the ``preferred`` batches, where there are any, and else to the largest.
    """

    delay_us: int = 0
    size: int = 128
    timeout_us: int = 10_000_000
    preferred: tuple[int, ...] = ()


# With any limit Triton fetches no work ahead: it may find a request half a second late, and 2.51 may stop a model that
# has one instance for good (benchmarks/load/stalls.py). For servers that only this machine reaches.
NO_LIMITS = Queue(size=0, timeout_us=0)


@dataclass(frozen=True)
class Instances:
    """How many copies of a model run, and on what. ``profiles`` are those of a TensorRT plan."""

    kind: str = "KIND_AUTO"
    count: int = 1
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Accelerator:
    """What ONNX Runtime runs a graph with on a GPU, ``cuda`` or ``tensorrt``, and its parameters."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One model of an ensemble: which of the ensemble's tensors it takes and gives, by its own names for them."""

    model: str
    version: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class ModelConfig:
    """What Triton must know about a model. Nothing in it depends on the machine it was made on.

    ``queue`` and ``instances`` are None for an ensemble, which runs nothing itself. ``warmup`` are the batches a model
    is run on before it counts as loaded; ``versions`` how many of its newest versions are served.
    """

    name: str
    inputs: Tensors
    outputs: Tensors
    backend: str = ONNXRUNTIME
    max_batch_size: int = 64
    queue: Queue | None = Queue()
    instances: Instances | None = Instances()
    warmup: tuple[int, ...] = ()
    versions: int = 1
    filename: str = ""
    accelerator: Accelerator | None = None
    steps: tuple[Step, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)

    def set_as(self, other: "ModelConfig") -> "ModelConfig":
        """The same model with what ``other`` says of how it is run on this machine: batches, queue, instances."""
        threads = {THREADS: other.parameters[THREADS]} if THREADS in other.parameters else {}
        return replace(
            self,
            max_batch_size=other.max_batch_size,
            queue=other.queue,
            instances=other.instances,
            accelerator=other.accelerator,
            parameters={**self.parameters, **threads},
        )

    def warmed(self) -> "ModelConfig":
        """The same, run at the smallest and the largest batch before it counts as loaded."""
        return replace(self, warmup=tuple(sorted({1, max(self.max_batch_size, 1)})))


def part_name(model: str, part: str) -> str:
    """What the ``part`` of ``model`` is called beside it."""
    return f"{model}_{part}"


def listed(tensors: Tensors) -> str:
    """Names, types and shapes, in one line."""
    return ", ".join(
        f"{each.name} {each.data_type} {list(each.dims)}" for each in sorted(tensors, key=lambda t: t.name)
    )
