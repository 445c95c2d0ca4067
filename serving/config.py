"""``config.pbtxt`` as a pure function of a ``ModelConfig``, and back: ``parse(render(config)) == config``."""

from dataclasses import dataclass, field
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from core.errors import RepositoryError

# The parameters that tell a client what it is talking to. Triton's own backends ignore names they do not know.
SPEC = "ganfoundry_spec"
BUNDLE = "ganfoundry_bundle_sha256"
PART = "ganfoundry_part"  # which part of a generator a model is, where it is one
WHOLE = "ganfoundry_part_of"  # and the model that it is a part of

DATA_TYPES = ("FP32", "FP16", "INT64", "INT32", "UINT8")
INSTANCE_KINDS = ("KIND_AUTO", "KIND_CPU", "KIND_GPU")


@dataclass(frozen=True)
class Tensor:
    """An input or output: its name, Triton's data type (``FP32`` …) and its shape without the batch."""

    name: str
    data_type: str
    dims: tuple[int, ...]


Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class ModelConfig:
    """What Triton must know about a model. Nothing in it depends on the machine it was made on.

    ``queue_delay_us`` is how long a request may wait for others to share its batch, in microseconds.
    """

    name: str
    inputs: Tensors
    outputs: Tensors
    backend: str = "onnxruntime"
    max_batch_size: int = 64
    queue_delay_us: int = 100
    instance_kind: str = "KIND_AUTO"
    instance_count: int = 1
    parameters: dict[str, str] = field(default_factory=dict)


def part_name(model: str, part: str) -> str:
    """What the ``part`` of ``model`` is called beside it."""
    return f"{model}_{part}"


def render(config: ModelConfig) -> str:
    """The text of ``config.pbtxt``. The same configuration always gives the same bytes."""
    blocks = [
        f"name: {_quoted(config.name)}",
        f"backend: {_quoted(config.backend)}",
        f"max_batch_size: {config.max_batch_size}",
        *(_render_tensor("input", tensor) for tensor in config.inputs),
        *(_render_tensor("output", tensor) for tensor in config.outputs),
        f"dynamic_batching {{\n  max_queue_delay_microseconds: {config.queue_delay_us}\n}}",
        f"instance_group {{\n  kind: {config.instance_kind}\n  count: {config.instance_count}\n}}",
        *(_render_parameter(key, config.parameters[key]) for key in sorted(config.parameters)),
    ]
    return "\n".join(blocks) + "\n"


def parse(text: str) -> ModelConfig:
    """The configuration in ``text``, read with Triton's own protobuf definition.

    Raises RepositoryError if it is none, or says more than a ModelConfig holds and would lose by being rewritten.
    """
    message = _message(text)
    config = from_message(message)
    if _message(render(config)) != message:
        raise RepositoryError("it holds settings that publish does not know: take them out, or publish another name")
    return config


def check_readable(text: str) -> None:
    """Raise RepositoryError unless Triton could read ``text``, and it says what goes in and what comes out."""
    message = _message(text)
    if not message.input or not message.output:
        raise RepositoryError("this configuration has no inputs or no outputs, so it was cut short: mend or delete it")


def parameters_of(text: str) -> dict[str, str]:
    """The parameters in ``text``, whatever else it sets. Raises RepositoryError if Triton could not read it."""
    return from_message(_message(text)).parameters


def from_message(message: Any) -> ModelConfig:
    """The configuration in one of Triton's ``ModelConfig`` messages, a server's answer included; the rest is left."""
    groups = message.instance_group or [model_config_pb2.ModelInstanceGroup(count=1)]
    return ModelConfig(
        name=message.name,
        inputs=tuple(_tensor(each) for each in message.input),
        outputs=tuple(_tensor(each) for each in message.output),
        backend=message.backend,
        max_batch_size=message.max_batch_size,
        queue_delay_us=message.dynamic_batching.max_queue_delay_microseconds,
        instance_kind=model_config_pb2.ModelInstanceGroup.Kind.Name(groups[0].kind),
        instance_count=groups[0].count,
        parameters={key: value.string_value for key, value in message.parameters.items()},
    )


def _message(text: str) -> Any:
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:  # its own text quotes whole lines, and ours are long
        line = f"line {error.GetLine()}" if error.GetLine() else "the end"
        raise RepositoryError(f"Triton would not read this configuration, from {line} on: mend or delete it") from None


def _tensor(message: Any) -> Tensor:
    data_type = model_config_pb2.DataType.Name(message.data_type)
    return Tensor(message.name, data_type.removeprefix("TYPE_"), tuple(message.dims))


def _render_tensor(kind: str, tensor: Tensor) -> str:
    dims = ", ".join(str(dim) for dim in tensor.dims)
    return f"{kind} {{\n  name: {_quoted(tensor.name)}\n  data_type: TYPE_{tensor.data_type}\n  dims: [{dims}]\n}}"


def _render_parameter(key: str, value: str) -> str:
    return f"parameters {{\n  key: {_quoted(key)}\n  value {{ string_value: {_quoted(value)} }}\n}}"


def _quoted(text: str) -> str:
    """A protobuf text string in plain ASCII, every other byte as an octal escape."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    plain = (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}" for byte in escaped.encode())
    return f'"{"".join(plain)}"'
