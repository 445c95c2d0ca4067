"""The backend's own answers, with ONNX Runtime and without a Triton: what is wrong fails alone."""

import importlib.util
import json
import sys
import threading
import time
import types
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from serving.backends import onnxruntime as backend
from tests.serving.conftest import SPEC


@dataclass
class Tensor:
    """What Triton's module gives and takes."""

    name: str
    values: np.ndarray

    def as_numpy(self):
        return self.values


@dataclass
class Response:
    outputs: tuple = ()
    error: str | None = None


@dataclass
class Request:
    label: np.ndarray
    alone: bool = False

    def parameters(self):
        return json.dumps({"alone": True}) if self.alone else ""


@pytest.fixture
def module(monkeypatch):
    triton = types.ModuleType("triton_python_backend_utils")
    triton.Tensor, triton.InferenceResponse = Tensor, Response
    triton.TritonError = lambda message, code="": message
    triton.TritonError.INVALID_ARG = "invalid"
    triton.get_input_tensor_by_name = lambda request, name: Tensor(name, getattr(request, name))
    monkeypatch.setitem(sys.modules, triton.__name__, triton)
    spec = importlib.util.spec_from_file_location("backend", Path(backend.__file__).with_name("model.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(module):
    """A graph that looks a label up in a table of three, and fails at any other; ``classes`` 0 has nobody check it."""
    table = numpy_helper.from_array(np.array([10, 20, 30], np.int64), "table")
    label, value = (helper.make_tensor_value_info(name, TensorProto.INT64, ["n", 1]) for name in ("label", "value"))
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "label"], ["value"])], "t", [label], [value], [table]
    )
    model = module.TritonPythonModel()
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    model.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    model.turns = nullcontext()
    model.inputs, model.outputs, model.sides, model.floats, model.classes = ["label"], ["value"], {"label": (1,)}, [], 0
    return model


def answers(model, *labels, alone=False):
    requests = [Request(np.asarray(label, np.int64), alone) for label in labels]
    return [answer.error or answer.outputs[0].values.tolist() for answer in model.execute(requests)]


@pytest.mark.parametrize("alone", [False, True])
def test_a_request_that_the_graph_fails_at_fails_alone(model, alone):
    first, wrong, last = answers(model, [[0], [1]], [[7]], [[2]], alone=alone)
    assert (first, last) == ([[10], [20]], [[30]])
    assert wrong.startswith("the graph could not be run: ")
    assert "\n" not in wrong
    assert answers(model, [[9]]) == [wrong.replace("7", "9")]


@pytest.mark.parametrize("shape", [(1,), (0, 1), (2, 2), (1, 1, 1), (0,)])
def test_a_request_of_another_shape_fails_alone(model, shape):
    assert answers(model, [[1]], np.zeros(shape)) == [
        [[20]],
        "input 'label' must have the shape [batch, 1], the batch at least 1",
    ]


@pytest.mark.parametrize("label", [-1, 3, 2**62, -(2**63)])
def test_a_label_of_no_class_fails_alone(model, label):
    model.classes = 3
    assert answers(model, [[1]], [[0], [label]]) == [[[20]], "a label is outside 0 to 2"]


def test_classes_are_those_of_the_spec(module):
    assert module.classes_of({}) == 0
    parameters = {"ganfoundry_spec": {"string_value": SPEC.to_json()}}
    assert module.classes_of({"parameters": parameters}) == 0
    parameters["ganfoundry_spec"]["string_value"] = json.dumps({"classes": ["cat", "dog"]})
    assert module.classes_of({"parameters": parameters}) == 2


def test_instances_that_all_want_every_core_take_turns(module, tmp_path):
    """In threads here, in processes under Triton: what locks a file is each opening of it."""
    (tmp_path / "model.onnx").write_bytes(b"graph")
    inside, most, runs = 0, 0, 0

    def instance():
        nonlocal inside, most, runs
        turns = module.Turns(tmp_path / "model.onnx")
        for _ in range(200):
            with turns:
                inside += 1
                most, runs = max(most, inside), runs + 1
                time.sleep(0.0001)
                inside -= 1

    threads = [threading.Thread(target=instance) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, runs) == (1, 600)


def test_a_run_that_fails_ends_its_turn(module, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"graph")
    first, second = module.Turns(tmp_path / "model.onnx"), module.Turns(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="failed"), first:
        raise ValueError("failed")
    with second:
        pass


@pytest.mark.parametrize(
    ("instances", "threads", "cores", "turns"),
    [(1, 0, 4, False), (2, 0, 4, True), (2, 2, 4, False), (2, 3, 4, True), (4, 1, 4, False), (1, 9, 4, False)],
)
def test_who_takes_turns(module, monkeypatch, instances, threads, cores, turns):
    monkeypatch.setattr(module, "physical_cores", lambda: cores)
    parameters = {"intra_op_thread_count": {"string_value": str(threads)}} if threads else {}
    config = {"instance_group": [{"count": instances}], "parameters": parameters}
    assert module.shares_cores(config) == turns
    assert module.session_options(config).intra_op_num_threads == (threads or cores)
