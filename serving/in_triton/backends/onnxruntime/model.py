"""A Triton Python-based backend named ``onnxruntime``, for the server that has none of its own.

The one bundled with nvidia-pytriton has none; NVIDIA's container has one in C++, and the same model folder loads
there unchanged. This file runs inside Triton's stub process: it imports numpy and onnxruntime, nothing of ours.
"""

import fcntl
import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: see core/__init__.py

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

Inputs = dict[str, NDArray[Any]]

FLOATS = ("TYPE_FP16", "TYPE_FP32", "TYPE_FP64")
LEVELS = {  # of graph optimisation, by Triton's numbers for them
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


class TritonPythonModel:
    """One instance of a model: an ONNX Runtime session on the device Triton gave it."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph. ``args`` is what Triton's Python backend passes: the configuration, directory and device."""
        check_numpy()
        config = json.loads(args["model_config"])
        graph = Path(args["model_repository"], args["model_version"], config["default_model_filename"] or "model.onnx")
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.sides = {tensor["name"]: tuple(int(side) for side in tensor["dims"]) for tensor in config["input"]}
        self.floats = [tensor["name"] for tensor in config["input"] if tensor["data_type"] in FLOATS]
        self.classes = classes_of(graph.with_name("manifest.json"))
        self.outputs = [tensor["name"] for tensor in config["output"]]

        # Where it runs; instances on the same cores take turns.
        kind, device = args["model_instance_kind"], args["model_instance_device_id"]
        lock = lock_of(args) if kind == "CPU" and shares_cores(config) else None
        self.turns = Turns(lock) if lock else nullcontext()
        self.session = onnxruntime.InferenceSession(
            graph, session_options(config), providers=providers_for(kind, device, config)
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a batch from one run of the graph; a request that is wrong fails alone.

        A request with the parameter ``alone`` gets a run of its own, because the last bit may depend on the batch.
        One that came alone anyway is not asked for it, which saves a sixth of the work around its run.
        """
        answers: list[Any] = [None] * len(requests)
        together: dict[int, Inputs] = {}

        for index, request in enumerate(requests):
            arrays = self._inputs_of(request)
            if fault := self._fault_of(arrays):
                answers[index] = refusal(fault)
            elif len(requests) == 1 or wants_to_be_alone(request):
                (answers[index],) = self._answers([arrays])
            else:
                together[index] = arrays

        for index, answer in zip(together, self._answers(list(together.values())), strict=True):
            answers[index] = answer
        return answers

    def _inputs_of(self, request: Any) -> Inputs:
        return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}

    def _fault_of(self, arrays: Inputs) -> str | None:
        """What is wrong with one request, or None."""
        return shape_fault(arrays, self.sides) or number_fault(arrays, self.floats) or label_fault(arrays, self.classes)

    def _answers(self, batch: list[Inputs]) -> list[Any]:
        """One response per request of ``batch``. Where the graph fails, each is run alone: only the cause fails."""
        try:
            return self._run(batch) if batch else []
        except Exception as error:  # ONNX Runtime has a kind for each of its status codes
            if len(batch) == 1:
                return [failure(error)]
            return [answer for arrays in batch for answer in self._answers([arrays])]

    def _run(self, batch: list[Inputs]) -> list[Any]:
        """Each request's rows, cut out of the whole batch's outputs."""
        inputs = joined(batch)
        with self.turns:
            outputs = self.session.run(self.outputs, inputs)

        first, responses = 0, []
        for arrays in batch:
            last = first + len(arrays[self.inputs[0]])
            tensors = [
                pb_utils.Tensor(name, output[first:last]) for name, output in zip(self.outputs, outputs, strict=True)
            ]
            responses.append(pb_utils.InferenceResponse(tensors))
            first = last
        return responses


def check_numpy() -> None:
    """Refuse to load where tensors would be silently corrupted."""
    if int(np.__version__.split(".")[0]) >= 2:
        raise pb_utils.TritonModelException(
            f"numpy {np.__version__} corrupts tensors in this Triton's Python stub: pip install 'numpy<2'"
        )


def joined(batch: Sequence[Inputs]) -> Inputs:
    """The inputs of all requests, one after the other along the batch axis."""
    if len(batch) == 1:
        return batch[0]
    return {name: np.concatenate([arrays[name] for arrays in batch]) for name in batch[0]}


def classes_of(manifest: Path) -> int:
    """How many classes a version of a generator has, 0 for none: its own, for the configuration is the newest's."""
    if not manifest.is_file():
        return 0
    return len(json.loads(manifest.read_text(encoding="utf-8")).get("spec", {}).get("classes", []))


def shape_fault(arrays: Inputs, sides: Mapping[str, tuple[int, ...]]) -> str | None:
    """Which input has not the shape it must have, or None.

    Triton counts a batch in 32 bits: one of 0, or of a multiple of 2**32, arrives as an array without that axis.
    """
    for name, array in arrays.items():
        if array.shape[1:] != sides[name] or not len(array):
            return (
                f"input '{name}' must have the shape [batch, {', '.join(map(str, sides[name]))}], the batch at least 1"
            )
    return None


def number_fault(arrays: Inputs, floats: Sequence[str]) -> str | None:
    """Which input holds what is no number, or None."""
    for name in floats:
        if not all_finite(arrays[name].ravel()):
            return f"input '{name}' holds a NaN or an infinity: send finite numbers"
    return None


def label_fault(arrays: Inputs, classes: int) -> str | None:
    """What is wrong with the labels, or None. A graph would take -1 for the last class, and fail at one too many."""
    label = arrays.get("label")
    if classes and label is not None and not 0 <= label.min() <= label.max() < classes:
        return f"a label is outside 0 to {classes - 1}"
    return None


def all_finite(values: NDArray[Any]) -> bool:
    """Whether there is no NaN and no infinity in ``values`` ``(n,)``.

    Their sum of squares tells in a third of the time; only if it is too large for a number is every value looked at.
    """
    return math.isfinite(np.dot(values, values)) or bool(np.isfinite(values).all())


def wants_to_be_alone(request: Any) -> bool:
    """Whether the client asked for a run that no other request shares."""
    parameters = request.parameters()
    return bool(parameters) and bool(json.loads(parameters).get("alone"))


def refusal(fault: str) -> Any:
    """The response that fails one request."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(fault, pb_utils.TritonError.INVALID_ARG))


def failure(error: Exception) -> Any:
    """The response for a request that the graph failed at."""
    why = (str(error).strip() or type(error).__name__).splitlines()[0]
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"the graph could not be run: {why}"))


def physical_cores() -> int:
    """Cores this process may use, hyper-threads counted once: the second thread of a core adds no arithmetic.

    ``serve`` says how many, for a container may be given fewer than it sees (serving/server/cores.py).
    """
    if told := os.environ.get("GANFOUNDRY_CORES"):
        return int(told)

    usable = os.sched_getaffinity(0)
    siblings = set()
    for cpu in usable:
        try:
            siblings.add(
                Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text(encoding="utf-8")
            )
        except OSError:
            return len(usable)
    return len(siblings)


class Turns:
    """One run at a time among the instances of a model, each a process, that all want every core.

    Two of them are still worth having: one takes its requests and gives its answers while the other runs.
    """

    def __init__(self, lock: Path) -> None:
        self.file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)


def lock_of(args: dict[str, str]) -> Path | None:
    """A file of the server's own that all instances of a version have, and nobody else locks.

    None where whoever started the server gave it no folder to work in: then instances only share the cores less well.
    """
    work = os.environ.get("GANFOUNDRY_WORK")
    return Path(work, f"{args['model_name']}.{args['model_version']}.lock") if work else None


def shares_cores(config: dict[str, Any]) -> bool:
    """Whether the instances of a model have more threads together than there are cores."""
    instances = instances_of(config)
    return instances > 1 and instances * threads_of(config) > physical_cores()


def instances_of(config: dict[str, Any]) -> int:
    """How many instances a model has."""
    return sum(int(group.get("count", 1)) for group in config["instance_group"])


def threads_of(config: dict[str, Any]) -> int:
    """How many threads each session of a model has: every core, where its configuration does not say."""
    return number(config, "intra_op_thread_count") or physical_cores()


def session_options(config: dict[str, Any]) -> onnxruntime.SessionOptions:
    """What NVIDIA's backend reads of a configuration, by the same names and with the same meaning (its README).

    Where it says nothing of threads, each session has all cores, and they take ``Turns``. Threads wait for work
    actively during a run, and sleep between runs.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads_of(config)
    options.inter_op_num_threads = number(config, "inter_op_thread_count") or 1
    if number(config, "execution_mode"):
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = LEVELS.get(level, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    # Spinning between runs would take the cores from Triton itself; not spinning at all makes a run half as long again.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def number(config: dict[str, Any], parameter: str) -> int:
    """A parameter that is a whole number, 0 where the configuration has none of that name."""
    return int(config.get("parameters", {}).get(parameter, {}).get("string_value") or 0)


def providers_for(kind: str, device: str, config: dict[str, Any]) -> list[Any]:
    """ONNX Runtime's providers for a Triton instance: CUDA on ``device`` for a GPU instance, where there is one.

    TensorRT inside ONNX Runtime is left to NVIDIA's backend: the package from PyPI that runs here brings none.
    """
    if kind != "GPU" or "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return ["CPUExecutionProvider"]
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    named = {each["name"]: each for each in accelerators.get("gpu_execution_accelerator", [])}
    options = {"device_id": device, **named.get("cuda", {}).get("parameters", {})}
    return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]
