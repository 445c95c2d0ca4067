"""``config.pbtxt`` as a pure function of a ``ModelConfig``, and back: ``parse(render(config)) == config``."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from core.errors import RepositoryError

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


def render(config: ModelConfig) -> str:
    """The text of ``config.pbtxt``, plain ASCII. The same configuration always gives the same bytes."""
    return str(text_format.MessageToString(to_message(config), as_utf8=False))


def parse(text: str) -> ModelConfig:
    """The configuration in ``text``, read with Triton's own protobuf definition.

    Raises RepositoryError if it is none, or says more than a ModelConfig holds and would lose by being rewritten.
    """
    message = _message(text)
    config = from_message(message)
    if to_message(config) != message:
        raise RepositoryError("it holds settings that publish does not know: take them out, or publish another name")
    return config


def to_message(config: ModelConfig) -> Any:
    """The configuration as one of Triton's ``ModelConfig`` messages."""
    message = model_config_pb2.ModelConfig(name=config.name, max_batch_size=config.max_batch_size)
    if config.backend == ENSEMBLE:
        message.platform = ENSEMBLE
    else:
        message.backend = config.backend
    message.default_model_filename = config.filename
    if config.versions > 1:
        message.version_policy.latest.num_versions = config.versions
    for tensor in config.inputs:
        message.input.add(name=tensor.name, data_type=_code(tensor), dims=tensor.dims, optional=tensor.optional)
    for tensor in config.outputs:
        message.output.add(name=tensor.name, data_type=_code(tensor), dims=tensor.dims)
    if config.queue:
        _write_queue(config.queue, message.dynamic_batching)
    if config.instances:
        group = message.instance_group.add(count=config.instances.count, profile=config.instances.profiles)
        group.kind = model_config_pb2.ModelInstanceGroup.Kind.Value(config.instances.kind)
    if config.accelerator:
        accelerators = message.optimization.execution_accelerators.gpu_execution_accelerator
        accelerators.add(name=config.accelerator.name, parameters=config.accelerator.parameters)
    for batch in config.warmup:
        _write_warmup(batch, config.inputs, message.model_warmup.add())
    for step in config.steps:
        mapped = {"input_map": step.inputs, "output_map": step.outputs}
        message.ensemble_scheduling.step.add(model_name=step.model, model_version=step.version, **mapped)
    for key, value in config.parameters.items():
        message.parameters[key].string_value = value
    return message


def glance(text: str) -> ModelConfig:
    """What a ModelConfig holds of ``text``, whatever else it sets.

    Raises RepositoryError unless Triton could read it, and it says what goes in and what comes out.
    """
    message = _message(text)
    if not message.input or not message.output:
        raise RepositoryError("this configuration has no inputs or no outputs, so it was cut short: mend or delete it")
    return from_message(message)


def from_message(message: Any) -> ModelConfig:
    """The configuration in one of Triton's ``ModelConfig`` messages, a server's answer included; the rest is left."""
    accelerators = message.optimization.execution_accelerators.gpu_execution_accelerator
    return ModelConfig(
        name=message.name,
        inputs=tuple(_tensor(each) for each in message.input),
        outputs=tuple(_tensor(each) for each in message.output),
        backend=message.backend or message.platform,
        max_batch_size=message.max_batch_size,
        queue=_queue(message.dynamic_batching) if message.HasField("dynamic_batching") else None,
        instances=_instances(message.instance_group[0]) if message.instance_group else None,
        warmup=tuple(each.batch_size for each in message.model_warmup),
        versions=max(message.version_policy.latest.num_versions, 1),
        filename=message.default_model_filename,
        accelerator=Accelerator(accelerators[0].name, dict(accelerators[0].parameters)) if accelerators else None,
        steps=tuple(_step(each) for each in message.ensemble_scheduling.step),
        parameters={key: value.string_value for key, value in message.parameters.items()},
    )


def _message(text: str) -> Any:
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:  # its own text quotes whole lines, and ours are long
        line = error.GetLine()
        raise RepositoryError(
            f"Triton would not read this configuration, from line {line} on: mend or delete it"
        ) from None


def _code(tensor: Tensor) -> int:
    return int(model_config_pb2.DataType.Value(f"TYPE_{tensor.data_type}"))


def _tensor(message: Any) -> Tensor:
    data_type = model_config_pb2.DataType.Name(message.data_type)
    return Tensor(
        message.name, data_type.removeprefix("TYPE_"), tuple(message.dims), getattr(message, "optional", False)
    )


def _write_queue(queue: Queue, message: Any) -> None:
    message.max_queue_delay_microseconds = queue.delay_us  # even of 0, or a queue without limits would be none
    message.preferred_batch_size.extend(queue.preferred)
    if queue.size or queue.timeout_us:
        policy = message.default_queue_policy
        policy.max_queue_size, policy.default_timeout_microseconds = queue.size, queue.timeout_us
        policy.allow_timeout_override = True  # and what is late is rejected, which is protobuf's default


def _queue(message: Any) -> Queue:
    policy = message.default_queue_policy
    limits = (policy.max_queue_size, policy.default_timeout_microseconds)
    return Queue(message.max_queue_delay_microseconds, *limits, tuple(message.preferred_batch_size))


def _instances(message: Any) -> Instances:
    kind = model_config_pb2.ModelInstanceGroup.Kind.Name(message.kind)
    return Instances(kind, message.count, tuple(message.profile))


def _step(message: Any) -> Step:
    return Step(message.model_name, message.model_version, dict(message.input_map), dict(message.output_map))


def _write_warmup(batch: int, inputs: Tensors, message: Any) -> None:
    """Zeros for every input: a latent, class 0, a truncation, an image."""
    message.name, message.batch_size = f"batch of {batch}", batch
    for tensor in inputs:
        given = message.inputs[tensor.name]
        given.data_type, given.zero_data = _code(tensor), True
        given.dims.extend(tensor.dims)
