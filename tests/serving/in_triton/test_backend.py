"""The backend's own answers, with ONNX Runtime and without a Triton: what is wrong fails alone."""

import fcntl
import importlib
import json
import sys
import threading
import time
import types
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from serving.in_triton.backends import onnxruntime as backend
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
    name = f"{backend.__name__}.model"
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


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


def test_classes_are_those_of_the_version(module, tmp_path):
    manifest = tmp_path / "manifest.json"
    assert module.classes_of(manifest) == 0
    for classes in ((), ("cat", "dog")):
        manifest.write_text(json.dumps({"spec": json.loads(replace(SPEC, classes=classes).to_json())}))
        assert module.classes_of(manifest) == len(classes)


def test_instances_that_all_want_every_core_take_turns(module, tmp_path):
    """In threads here, in processes under Triton: what locks a file is each opening of it."""
    inside, most, runs = 0, 0, 0

    def instance():
        nonlocal inside, most, runs
        turns = module.Turns(tmp_path / "lock")
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
    first, second = module.Turns(tmp_path / "lock"), module.Turns(tmp_path / "lock")
    with pytest.raises(ValueError, match="failed"), first:
        raise ValueError("failed")
    with second:
        pass


def configuration(**changes):
    """What Triton tells an instance, its numbers as text as in its JSON."""
    return {
        "default_model_filename": "",
        "input": [{"name": "z", "data_type": "TYPE_FP32", "dims": ["2"]}],
        "output": [{"name": "image", "data_type": "TYPE_FP32", "dims": ["2"]}],
        "instance_group": [{"count": 1}],
        **changes,
    }


def doubled(repository, filename="model.onnx"):
    """A version 3 of a model that doubles."""
    z, image = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("z", "image"))
    graph = helper.make_graph([helper.make_node("Add", ["z", "z"], ["image"])], "t", [z], [image])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (repository / "3").mkdir()
    (repository / "3" / filename).write_bytes(model.SerializeToString())


def loaded(module, repository, kind="CPU", **changes):
    model = module.TritonPythonModel()
    model.initialize(
        {
            "model_config": json.dumps(configuration(**changes)),
            "model_name": "tiny",
            "model_repository": str(repository),
            "model_version": "3",
            "model_instance_kind": kind,
            "model_instance_device_id": "0",
        }
    )
    return model


@dataclass
class Latent:
    z: np.ndarray

    def parameters(self):
        return ""


@pytest.mark.parametrize("filename", ["", "mine.onnx"])
def test_an_instance_loads_what_its_configuration_says_and_answers(module, tmp_path, filename):
    doubled(tmp_path, filename or "model.onnx")
    model = loaded(module, tmp_path, default_model_filename=filename)
    assert (model.inputs, model.outputs, model.sides, model.floats) == (["z"], ["image"], {"z": (2,)}, ["z"])
    assert model.classes == 0
    good, bad, other = (np.float32([row]) for row in ([1, 2], [np.nan, 0], [3, 4]))
    first, second, third = model.execute([Latent(good), Latent(bad), Latent(other)])
    assert (first.outputs[0].name, first.outputs[0].values.tolist()) == ("image", [[2, 4]])
    assert third.outputs[0].values.tolist() == [[6, 8]]
    assert second.error == "input 'z' holds a NaN or an infinity: send finite numbers"
    assert model.execute([]) == []


@pytest.mark.parametrize(
    ("kind", "count", "turns"), [("CPU", 2, True), ("CPU", 1, False), ("GPU", 2, False), ("MODEL", 2, False)]
)
def test_instances_on_a_cpu_take_turns(module, tmp_path, monkeypatch, kind, count, turns):
    doubled(tmp_path)
    monkeypatch.setenv("GANFOUNDRY_WORK", str(tmp_path))
    model = loaded(module, tmp_path, kind, instance_group=[{"count": count}])
    assert isinstance(model.turns, module.Turns) == turns
    assert (tmp_path / "tiny.3.lock").exists() == turns


def test_whoever_locks_the_graph_stops_nobody(module, tmp_path, monkeypatch):
    monkeypatch.setenv("GANFOUNDRY_WORK", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    doubled(tmp_path)
    (tmp_path / "3").chmod(0o500)
    with (tmp_path / "3" / "model.onnx").open("rb") as graph:
        fcntl.flock(graph, fcntl.LOCK_EX)
        model = loaded(module, tmp_path, instance_group=[{"count": 2}])
        (answer,) = model.execute([Latent(np.float32([[1, 2]]))])
    assert answer.outputs[0].values.tolist() == [[2, 4]]


def test_an_instance_on_a_gpu_is_opened_on_its_device(module, monkeypatch):
    told = []
    monkeypatch.setattr(module.onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(module.onnxruntime, "InferenceSession", lambda *given, **how: told.append((*given, how)))
    monkeypatch.setattr(module, "session_options", lambda config: "options")
    loaded(module, Path("models"), "GPU")
    (graph, options, how) = told[0]
    assert (graph, options) == (Path("models/3/model.onnx"), "options")
    assert how == {"providers": [("CUDAExecutionProvider", {"device_id": "0"}), "CPUExecutionProvider"]}


def test_an_instance_does_not_load_where_tensors_would_be_corrupted(module, tmp_path, monkeypatch):
    doubled(tmp_path)
    module.pb_utils.TritonModelException = ValueError
    monkeypatch.setattr(module.np, "__version__", "2.1.0")
    with pytest.raises(ValueError, match="corrupts tensors"):
        loaded(module, tmp_path)


def test_the_graph_runs_in_its_turn(model):
    events, session = [], model.session

    @contextmanager
    def turn():
        events.append("begins")
        yield
        events.append("ends")

    class Told:
        def run(self, *given):
            events.append("runs")
            return session.run(*given)

    model.turns, model.session = turn(), Told()
    assert answers(model, [[1]]) == [[[20]]]
    assert events == ["begins", "runs", "ends"]


def test_which_inputs_are_numbers_that_may_be_none(module, tmp_path):
    doubled(tmp_path)
    kinds = ("TYPE_FP16", "TYPE_FP32", "TYPE_FP64", "TYPE_INT64", "TYPE_UINT8")
    inputs = [{"name": kind, "data_type": kind, "dims": ["2", "3"]} for kind in kinds]
    model = loaded(module, tmp_path, input=inputs)
    assert model.floats == ["TYPE_FP16", "TYPE_FP32", "TYPE_FP64"]
    assert model.sides == dict.fromkeys(kinds, (2, 3))


def counted(model):
    """The batch of every run of the graph, from now on."""
    sizes, session = [], model.session

    class Counting:
        def run(self, outputs, inputs):
            sizes.append(len(next(iter(inputs.values()))))
            return session.run(outputs, inputs)

    model.session = Counting()
    return sizes


def test_requests_share_a_run_unless_they_want_to_be_alone(model):
    sizes = counted(model)
    assert answers(model, [[0], [1]], [[2]]) == [[[10], [20]], [[30]]]
    assert sizes == [3]
    sizes.clear()
    assert answers(model, [[0], [1]], [[2]], alone=True) == [[[10], [20]], [[30]]]
    assert sizes == [2, 1]
    sizes.clear()
    assert answers(model, [[1]]) == [[[20]]]
    assert sizes == [1]


def test_one_that_came_alone_is_not_asked_whether_it_wants_to(model, module, monkeypatch):
    monkeypatch.setattr(module, "wants_to_be_alone", None)
    assert answers(model, [[1]]) == [[[20]]]


def test_a_graph_that_fails_is_run_once_for_each(model):
    sizes = counted(model)
    answers(model, [[0], [1]], [[7]], [[2]])
    assert sizes == [4, 2, 1, 1]
    sizes.clear()
    answers(model, [[7]])
    assert sizes == [1]


@pytest.mark.parametrize(
    ("parameters", "alone"),
    [("", False), (None, False), ("{}", False), ('{"alone": true}', True), ('{"alone": false}', False)],
)
def test_who_wants_to_be_alone(module, parameters, alone):
    assert module.wants_to_be_alone(types.SimpleNamespace(parameters=lambda: parameters)) is alone


@pytest.mark.parametrize(("version", "fine"), [("1.26.4", True), ("2.0.0", False), ("10.1", False)])
def test_a_numpy_that_would_corrupt_tensors_is_refused(module, monkeypatch, version, fine):
    module.pb_utils.TritonModelException = ValueError
    monkeypatch.setattr(module.np, "__version__", version)
    if fine:
        module.check_numpy()
    else:
        with pytest.raises(ValueError, match=version):
            module.check_numpy()


def test_numbers_are_finite(module):
    for values in ([], [1, -2], [3e38, 3e38], [1e30] * 9):
        assert module.all_finite(np.float32(values)), values
    for wrong in (np.nan, np.inf, -np.inf):
        for values in ([wrong], [1, wrong], [1e30, wrong]):
            assert not module.all_finite(np.float32(values)), values
    arrays = {"a": np.float32([[np.nan]]), "b": np.float32([[0], [np.inf]])}
    assert module.number_fault(arrays, []) is None
    assert module.number_fault(arrays, ["b"]) == "input 'b' holds a NaN or an infinity: send finite numbers"


def test_labels_by_hand(module):
    label = np.array([[0], [2], [1]])
    assert module.label_fault({"label": label}, 3) is None
    assert module.label_fault({"label": label}, 2) == "a label is outside 0 to 1"
    assert module.label_fault({"label": label - 1}, 3) == "a label is outside 0 to 2"
    assert module.label_fault({"label": label}, 0) is None
    assert module.label_fault({"z": label}, 2) is None


def test_why_a_graph_failed_is_a_line(module):
    assert module.failure(ValueError("\nfirst\nsecond")).error == "the graph could not be run: first"
    assert module.failure(ValueError()).error == "the graph could not be run: ValueError"


def test_a_refusal_is_the_clients_fault(module):
    told = []
    module.pb_utils.TritonError = lambda *given: told.append(given)
    module.pb_utils.TritonError.INVALID_ARG = "invalid"
    module.refusal("why")
    module.failure(ValueError("x"))
    assert told == [("why", "invalid"), ("the graph could not be run: x",)]


def test_whoever_starts_the_server_says_how_many_cores_there_are(module, monkeypatch):
    monkeypatch.setenv("GANFOUNDRY_CORES", "5")
    assert module.physical_cores() == 5


def test_cores_are_counted_without_hyper_threads(module, monkeypatch, tmp_path):
    """Four threads of two cores, of which the process may use three."""
    siblings = {0: "0,2", 2: "0,2", 1: "1,3", 3: "1,3"}
    asked = []

    def read_text(path, encoding=None):
        asked.append(str(path))
        return siblings[int(str(path).split("/")[5].removeprefix("cpu"))]

    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: {0, 1, 2} if pid == 0 else set())
    monkeypatch.setattr(module.Path, "read_text", read_text)
    assert module.physical_cores() == 2
    assert "/sys/devices/system/cpu/cpu1/topology/thread_siblings_list" in asked

    def nothing(path, encoding=None):
        raise FileNotFoundError(path)

    monkeypatch.setattr(module.Path, "read_text", nothing)
    assert module.physical_cores() == 3


def test_instances_of_all_groups_count(module):
    assert module.instances_of({"instance_group": [{"count": 2}, {}, {"count": "3"}]}) == 6
    assert module.instances_of({"instance_group": []}) == 0


def test_turns_are_needed_only_beyond_the_cores(module, monkeypatch):
    monkeypatch.setattr(module, "physical_cores", lambda: 4)
    group = {"instance_group": [{"count": 2}]}
    for threads, turns in (("2", False), ("3", True)):
        parameters = {"intra_op_thread_count": {"string_value": threads}}
        assert module.shares_cores({**group, "parameters": parameters}) is turns


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (None, "ORT_ENABLE_ALL"),
        ("0", "ORT_ENABLE_ALL"),
        (-1, "ORT_ENABLE_BASIC"),
        ("1", "ORT_ENABLE_EXTENDED"),
        (2, "ORT_DISABLE_ALL"),
        (5, "ORT_ENABLE_ALL"),
    ],
)
def test_levels_of_optimisation_are_tritons(module, level, expected):
    """By the README of Triton's ONNX Runtime backend."""
    config = {} if level is None else {"optimization": {"graph": {"level": level}}}
    options = module.session_options(config)
    assert options.graph_optimization_level == getattr(onnxruntime.GraphOptimizationLevel, expected)
    assert module.session_options({"optimization": {}}).graph_optimization_level.name == "ORT_ENABLE_ALL"


def test_options_of_a_session(module, monkeypatch):
    monkeypatch.setattr(module, "physical_cores", lambda: 4)
    usual = module.session_options({"parameters": {"mine": {"string_value": "1"}}})
    assert (usual.intra_op_num_threads, usual.inter_op_num_threads) == (4, 1)
    assert usual.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert usual.get_session_config_entry("session.force_spinning_stop") == "1"
    texts = {"intra_op_thread_count": "2", "inter_op_thread_count": "3", "execution_mode": "1"}
    mine = module.session_options({"parameters": {key: {"string_value": text} for key, text in texts.items()}})
    assert (mine.intra_op_num_threads, mine.inter_op_num_threads) == (2, 3)
    assert mine.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL


def test_a_parameter_that_is_no_text_or_not_there_is_0(module):
    assert module.number({"parameters": {"a": {"string_value": ""}, "b": {}}}, "a") == 0
    assert module.number({"parameters": {"b": {}}}, "b") == 0
    assert module.number({"parameters": {"a": {"string_value": "12"}}}, "a") == 12


def test_a_gpu_is_used_where_there_is_one(module, monkeypatch):
    cpu, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    named = [{"name": "tensorrt", "parameters": {"x": "y"}}, {"name": "cuda", "parameters": {"use_tf32": "0"}}]
    config = {"optimization": {"execution_accelerators": {"gpu_execution_accelerator": named}}}
    monkeypatch.setattr(module.onnxruntime, "get_available_providers", lambda: [cpu])
    assert module.providers_for("GPU", "1", config) == [cpu]
    monkeypatch.setattr(module.onnxruntime, "get_available_providers", lambda: [cuda, cpu])
    assert module.providers_for("CPU", "1", config) == [cpu]
    assert module.providers_for("GPU", "1", config) == [(cuda, {"device_id": "1", "use_tf32": "0"}), cpu]
    for bare in ({}, {"optimization": {}}, {"optimization": {"execution_accelerators": {}}}):
        assert module.providers_for("GPU", "0", bare) == [(cuda, {"device_id": "0"}), cpu]
    for named in ([], [{"name": "cuda"}], [{"name": "tensorrt", "parameters": {"x": "y"}}]):
        other = {"optimization": {"execution_accelerators": {"gpu_execution_accelerator": named}}}
        assert module.providers_for("GPU", "0", other) == [(cuda, {"device_id": "0"}), cpu]


def test_turns_are_a_lock_of_a_file(module, tmp_path):
    """Another opening of it cannot have the lock during a turn, and can after."""
    turns = module.Turns(tmp_path / "lock")
    with (tmp_path / "lock").open() as other:
        with turns, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
