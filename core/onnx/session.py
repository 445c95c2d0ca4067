"""ONNX Runtime in two calls. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from core.contract import NOISE, ONE, rows
from core.errors import BundleError, MissingDependency, first_line

CPU = "CPUExecutionProvider"
_FATAL_ONLY = 4  # what goes wrong, our own errors say


class Session(Protocol):
    """What is asked of ONNX Runtime's session, so that two graphs can stand in for one."""

    def run(self, outputs: list[str], inputs: dict[str, NDArray[Any]]) -> list[Any]:
        """The outputs by name."""

    def get_providers(self) -> list[str]:
        """What it runs on, the first first."""


@dataclass(frozen=True)
class Chain:
    """A mapping and a synthesis graph as one: what the first gives, the second takes, and the noise with it."""

    mapping: Session
    synthesis: Session

    def run(self, outputs: list[str], inputs: dict[str, NDArray[Any]]) -> list[Any]:
        """The synthesis graph's outputs for the mapping graph's inputs."""
        noise = {name: value for name, value in inputs.items() if name == NOISE}
        others = {name: value for name, value in inputs.items() if name != NOISE}
        return self.synthesis.run(outputs, {"w": self.mapping.run(["w"], others)[0], **noise})

    def get_providers(self) -> list[str]:
        """Those of the synthesis graph."""
        return self.synthesis.get_providers()


@dataclass(frozen=True)
class OneByOne:
    """A graph that takes one image at a time, asked as one that takes any number."""

    session: onnxruntime.InferenceSession

    def run(self, outputs: list[str], inputs: dict[str, NDArray[Any]]) -> list[Any]:
        """The outputs of all rows, one run for each."""
        made = [self.session.run(outputs, row) for row in rows(inputs)]
        return made[0] if len(made) == 1 else [np.concatenate(parts) for parts in zip(*made, strict=True)]

    def get_providers(self) -> list[str]:
        """Those of the session."""
        return self.session.get_providers()  # type: ignore[no-any-return]

    def get_inputs(self) -> list[Any]:
        """Those of the session."""
        return self.session.get_inputs()  # type: ignore[no-any-return]

    def get_outputs(self) -> list[Any]:
        """Those of the session."""
        return self.session.get_outputs()  # type: ignore[no-any-return]


def open_session(model: bytes, provider: str = CPU, threads: int = 0, optimise: bool = True) -> Any:
    """A session for a serialised graph on exactly ``provider``; ``threads`` 0 means all cores.

    One that takes one image at a time is asked so, however many it is given.

    Without ``optimise`` the graph is run node by node as it is written.

    Raises MissingDependency where the provider does not work (ONNX Runtime itself would only warn and use the
    CPU), and BundleError where ONNX Runtime refuses the graph. Given bytes, it never opens another file.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # beside other work: core.system.WAITS
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise MissingDependency(f"this ONNX Runtime has no {provider}: choose from {', '.join(available)}")

    try:
        session = onnxruntime.InferenceSession(model, options, providers=[provider])
    except Exception as error:  # ONNX Runtime has a kind for each of its status codes
        raise BundleError(f"ONNX Runtime refuses the graph ({first_line(error)})") from None
    if (used := session.get_providers()[0]) != provider:
        raise MissingDependency(f"{provider} does not work on this machine ({used} would be used): see 'doctor'")

    first = session.get_inputs()[0].shape if session.get_inputs() else []
    return OneByOne(session) if first and first[0] == ONE else session


def run(session: Session, inputs: Mapping[str, NDArray[Any]], output: str = "image") -> NDArray[Any]:
    """The values of ``output``, images ``(n, h, w, c)`` by default. Raises BundleError if these inputs make it fail."""
    try:
        (values,) = session.run([output], dict(inputs))
    except Exception as error:
        raise BundleError(f"ONNX Runtime cannot run the graph ({first_line(error)})") from None
    return np.asarray(values)
