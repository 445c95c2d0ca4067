"""A Triton Python-based backend named ``onnxruntime``, for the server that has none of its own.

The one bundled with nvidia-pytriton has none; NVIDIA's container has one in C++, and the same model folder loads
there unchanged. This file runs inside Triton's stub process: it imports numpy and onnxruntime, nothing of ours.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

Inputs = dict[str, NDArray[Any]]


class TritonPythonModel:
    """One instance of a model: an ONNX Runtime session on the device Triton gave it."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph. ``args`` is what Triton's Python backend passes: the configuration, directory and device."""
        check_numpy()
        config = json.loads(args["model_config"])
        graph = Path(args["model_repository"], args["model_version"], config["default_model_filename"] or "model.onnx")
        instances = sum(int(group.get("count", 1)) for group in config["instance_group"])
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]
        self.session = onnxruntime.InferenceSession(
            graph,
            session_options(threads_for(instances)),
            providers=providers_for(args["model_instance_kind"], int(args["model_instance_device_id"])),
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a batch from one run of the graph; a request that is wrong fails alone.

        A request with the parameter ``alone`` gets a run of its own, because the last bit may depend on the batch.
        """
        answers: list[Any] = [None] * len(requests)
        together: dict[int, Inputs] = {}
        for index, request in enumerate(requests):
            arrays = self._inputs_of(request)
            if fault := fault_of(arrays):
                answers[index] = refusal(fault)
            elif wants_to_be_alone(request):
                (answers[index],) = self._run([arrays])
            else:
                together[index] = arrays
        for index, answer in zip(together, self._run(list(together.values())), strict=True):
            answers[index] = answer
        return answers

    def _inputs_of(self, request: Any) -> Inputs:
        return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}

    def _run(self, batch: list[Inputs]) -> list[Any]:
        """One response per request of ``batch``, its rows cut out of the whole batch's outputs."""
        if not batch:
            return []
        outputs = self.session.run(self.outputs, joined(batch))
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


def fault_of(arrays: Inputs) -> str | None:
    """What is wrong with one request's numbers, or None."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"input '{name}' holds a NaN or an infinity: send finite numbers"
    return None


def wants_to_be_alone(request: Any) -> bool:
    """Whether the client asked for a run that no other request shares."""
    parameters = request.parameters()
    return bool(parameters) and bool(json.loads(parameters).get("alone"))


def refusal(fault: str) -> Any:
    """The response that fails one request."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(fault, pb_utils.TritonError.INVALID_ARG))


def threads_for(instances: int) -> int:
    """How many threads one of ``instances`` sessions gets, so that together they fill the cores and no more."""
    return max(physical_cores() // max(instances, 1), 1)


def physical_cores() -> int:
    """Cores this process may use, hyper-threads counted once: the second thread of a core adds no arithmetic."""
    usable = os.sched_getaffinity(0)
    siblings = set()
    for cpu in usable:
        try:
            siblings.add(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text())
        except OSError:
            return len(usable)
    return len(siblings)


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Threads that wait for work actively during a run, and sleep between runs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning between runs would take the cores from Triton itself; not spinning at all makes a run half as long again.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def providers_for(kind: str, device: int) -> list[Any]:
    """ONNX Runtime's providers for a Triton instance: CUDA on ``device`` for a GPU instance, where there is one."""
    if kind == "GPU" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # TF32 rounds to 10 bits: images would differ from the golden ones by more than a level.
        return [("CUDAExecutionProvider", {"device_id": str(device), "use_tf32": "0"}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]
