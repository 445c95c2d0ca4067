"""Parse and build an engine with TensorRT for RTX, which does both without a GPU: what does not build does not ship."""

import importlib.util
from collections.abc import Mapping
from typing import Any

from core.errors import ExportError, MissingDependency

PACKAGE = "tensorrt_rtx"
_LONGEST_REASON = 400  # characters: it goes on for pages
_INSTALL = "pip install -c constraints.txt '.[tensorrt]'"


def check_installed() -> None:
    """Raise MissingDependency, with what brings it, unless the gate can be run here."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise MissingDependency(f"--tensorrt builds every engine with tensorrt-rtx, which is not installed: {_INSTALL}")


def try_build(name: str, graph: bytes, profiles: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Build the strongly typed ``graph`` with all ``profiles``, for the report of what was parsed.

    The engine is thrown away: it would fit no other machine. Raises ExportError naming the file, the node, its operator
    and the reason, or else TensorRT's first error.
    """
    import tensorrt_rtx as trt

    logger = _collector(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        raise ExportError(f"TensorRT cannot parse {name}: {_parser_error(parser, logger)}")
    config = builder.create_builder_config()
    for profile in profiles:
        config.add_optimization_profile(_profile(builder, profile["shapes"]))
    if builder.build_serialized_network(network, config) is None:
        raise ExportError(f"TensorRT parses {name} and cannot build it: {_first(logger.errors)}")
    return {
        "file": name,
        "layers": network.num_layers,
        "inputs": [_described(network.get_input(i)) for i in range(network.num_inputs)],
        "outputs": [_described(network.get_output(i)) for i in range(network.num_outputs)],
        "profiles_built": [profile["name"] for profile in profiles],
        "warnings": sorted(set(logger.warnings)),
    }


def version() -> str:
    """Of TensorRT for RTX."""
    import tensorrt_rtx as trt

    return str(trt.__version__)


def _collector(trt: Any) -> Any:
    """A logger that keeps what TensorRT says and prints nothing."""

    class Collector(trt.ILogger):  # type: ignore[misc]  # tensorrt has no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.warnings: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """TensorRT calls this."""
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.errors.append(message)
            elif severity == trt.ILogger.Severity.WARNING:
                self.warnings.append(" ".join(message.split()))

    return Collector()


def _profile(builder: Any, shapes: Mapping[str, Any]) -> Any:
    profile = builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, tuple(shape["min"]), tuple(shape["opt"]), tuple(shape["max"]))
    return profile


def _parser_error(parser: Any, logger: Any) -> str:
    if not parser.num_errors:
        return _first(logger.errors)
    error = parser.get_error(0)
    return f"{error.node_operator() or 'a'} node {error.node_name()!r}: {' '.join(error.desc().split())}"


def _first(errors: list[str]) -> str:
    return " ".join(errors[0].split())[:_LONGEST_REASON] if errors else "it gives no reason"


def _described(tensor: Any) -> str:
    shape = ", ".join("N" if side < 0 else str(side) for side in tensor.shape)
    return f"{tensor.name} {str(tensor.dtype).removeprefix('DataType.')} [{shape}]"
