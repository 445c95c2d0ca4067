"""``config.pbtxt`` as a pure function of a ``ModelConfig``, and back: ``parse(render(config)) == config``."""

from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from core.errors import RepositoryError
from serving.protocol.model_config import ENSEMBLE, Accelerator, Instances, ModelConfig, Queue, Step, Tensor, Tensors


def render(config: ModelConfig) -> str:
    """The text of ``config.pbtxt``, plain ASCII. The same configuration always gives the same bytes."""
    return str(text_format.MessageToString(to_message(config), as_utf8=False))


def parse(text: str) -> ModelConfig:
    """The configuration in ``text``, read with Triton's own protobuf definition.

    Raises RepositoryError if it is not a configuration, or sets something that a ModelConfig does not hold and that
    would be lost when it is written again.
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

    # Which versions are served, and what goes in and out.
    if config.versions > 1:
        message.version_policy.latest.num_versions = config.versions
    for tensor in config.inputs:
        message.input.add(name=tensor.name, data_type=_code(tensor), dims=tensor.dims, optional=tensor.optional)
    for tensor in config.outputs:
        message.output.add(name=tensor.name, data_type=_code(tensor), dims=tensor.dims)

    # How it is run: batches, instances, what runs it on a GPU, what it is warmed up with.
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

    # Of what it consists, where it is an ensemble, and what it says of itself.
    for step in config.steps:
        mapped = {"input_map": step.inputs, "output_map": step.outputs}
        message.ensemble_scheduling.step.add(model_name=step.model, model_version=step.version, **mapped)
    for key, value in config.parameters.items():
        message.parameters[key].string_value = value
    return message


def parse_lenient(text: str) -> ModelConfig:
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
