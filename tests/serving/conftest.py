"""A bundle that any machine makes in milliseconds, and one real Triton that serves it to all tests."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.bundle import GOLDEN, GRAPH, MAPPING, SYNTHESIS, write_manifest
from core.contract import latent_inputs
from core.files import write_atomic
from core.golden import Golden
from core.latents import ALGORITHM, latents
from core.spec import GeneratorSpec, Provenance
from serving import publishing
from serving.protocol.model_config import Instances, Queue
from serving.protocol.pbtxt import render
from serving.repository.configs import read_config
from serving.repository.layout import CONFIG
from serving.server.launch import Access, ServerPorts, free_ports
from serving.server.locate import find_triton
from serving.server.server import Server
from serving.server.supervisor import Supervisor
from serving.server.workspace import make_workspace, remove_workspace
from tests.serving.translators import make_translator

SPEC = GeneratorSpec("tiny", 8, 12, 4, latent_dim=8, provenance=Provenance(data_name="noise", data_licence="CC0-1.0"))
CLASSES = ("cat", "dog", "bird")
LAYERS, STYLE_DIM = 6, 5
NOISY = replace(SPEC, noise=7)
CODED = replace(SPEC, codes=2)
ONE = Instances()  # who shares a batch, or waits in a queue, is known where a single instance takes requests


def publish(bundle: Path, name: str, repository: Path) -> publishing.Published:
    """As the command does, but untried and without the models for thin clients, which cost a process each."""
    return publishing.publish(bundle, name, repository, thin=False, trial=False)


def make_bundle(path: Path, spec: GeneratorSpec = SPEC, seed: int = 0) -> Path:
    """A bundle of a network that is one matrix: z → truncation → W (+ codes) → tanh (→ darker by class) → pixels."""
    path.mkdir(parents=True)
    size = spec.channels * spec.height * spec.width
    weight = np.random.RandomState(seed).standard_normal((spec.latent_dim, size)).astype(np.float32) / 3
    (path / GRAPH).write_bytes(make_graph(spec, weight).SerializeToString())
    z = latents(range(5), spec.latent_dim)
    inputs: dict[str, Any] = {"z": z, "truncation": np.linspace(1, 0.5, 5, dtype=np.float32)[:, None]}
    if spec.classes:
        inputs["label"] = np.arange(5, dtype=np.int64)[:, None] % len(spec.classes)
    if spec.codes:
        inputs["codes"] = latents(range(5), spec.codes)
    (path / GOLDEN).write_bytes(Golden(inputs, images_of(spec, weight, **inputs)).to_bytes())
    write_manifest(path, spec=spec, opset=18, seed_algorithm=ALGORITHM)
    return path


def mixing(spec: GeneratorSpec) -> np.ndarray:
    """What each code adds to each value."""
    return np.random.RandomState(7).standard_normal((spec.codes, spec.channels * spec.height * spec.width)).astype("f4")


def images_of(spec: GeneratorSpec, weight, z, truncation, label=None, codes=None):
    """What the graph computes, in numpy."""
    sums = (z * truncation) @ weight
    if codes is not None:
        sums = sums + codes @ mixing(spec)
    values = np.tanh(sums) * np.float32(127) + np.float32(127)
    if label is not None:
        values = values / (label.astype(np.float32) + 1)
    chw = np.round(values).reshape(len(z), spec.channels, spec.height, spec.width)
    return chw.transpose(0, 2, 3, 1).astype(np.uint8)


def make_graph(spec: GeneratorSpec, weight: np.ndarray) -> onnx.ModelProto:
    shape = np.array([-1, spec.channels, spec.height, spec.width], np.int64)
    constants = {"weight": weight, "half": np.float32(127), "one": np.float32(1), "shape": shape}
    inputs = [("z", TensorProto.FLOAT, spec.latent_dim), ("truncation", TensorProto.FLOAT, 1)]
    nodes = [
        helper.make_node("Mul", ["z", "truncation"], ["style"]),
        helper.make_node("MatMul", ["style", "weight"], ["sum"]),
    ]
    last = "sum"
    if spec.codes:
        inputs.append(("codes", TensorProto.FLOAT, spec.codes))
        constants["mixing"] = mixing(spec)
        nodes += [
            helper.make_node("MatMul", ["codes", "mixing"], ["mixed"]),
            helper.make_node("Add", ["sum", "mixed"], ["both"]),
        ]
        last = "both"
    nodes += [
        helper.make_node("Tanh", [last], ["value"]),
        helper.make_node("Mul", ["value", "half"], ["scaled"]),
        helper.make_node("Add", ["scaled", "half"], ["levels"]),
    ]
    last = "levels"
    if spec.classes:
        inputs.append(("label", TensorProto.INT64, 1))
        nodes += [
            helper.make_node("Cast", ["label"], ["class"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["class", "one"], ["darkness"]),
            helper.make_node("Div", ["levels", "darkness"], ["darker"]),
        ]
        last = "darker"
    nodes += [
        helper.make_node("Round", [last], ["rounded"]),
        helper.make_node("Reshape", ["rounded", "shape"], ["chw"]),
        helper.make_node("Transpose", ["chw"], ["hwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["hwc"], ["image"], to=TensorProto.UINT8),
    ]
    image = ("image", TensorProto.UINT8, ["batch", spec.height, spec.width, spec.channels])
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, kind, ["batch", dim]) for name, kind, dim in inputs],
        [helper.make_tensor_value_info(*image)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def make_style_bundle(path: Path, spec: GeneratorSpec = SPEC, seed: int = 0) -> Path:
    """A bundle with parts: z → truncation → W → w, the same for every layer; all layers side by side → V → pixels."""
    path.mkdir(parents=True)
    first, second = style_weights(spec, seed)
    for name, graph in zip((GRAPH, MAPPING, SYNTHESIS), make_style_graphs(spec, first, second), strict=True):
        (path / name).write_bytes(graph.SerializeToString())
    inputs = latent_inputs(spec, range(5)) | {"truncation": np.linspace(1, 0.5, 5, dtype=np.float32)[:, None]}
    w = styles_of(first, inputs["z"], inputs["truncation"])
    images = images_of_styles(spec, second, w, inputs.get("noise"))
    (path / GOLDEN).write_bytes(Golden(inputs, images).to_bytes())
    write_manifest(path, spec=spec, opset=18, seed_algorithm=ALGORITHM)
    return path


def style_weights(spec: GeneratorSpec = SPEC, seed: int = 0):
    random = np.random.RandomState(seed)
    size = spec.channels * spec.height * spec.width
    first = random.standard_normal((spec.latent_dim, STYLE_DIM)).astype(np.float32)
    return first, random.standard_normal((LAYERS * STYLE_DIM + spec.noise, size)).astype(np.float32) / 12


def styles_of(first, z, truncation=1.0):
    """What the mapping computes, in numpy."""
    return np.repeat(((z * np.float32(truncation)) @ first)[:, None], LAYERS, axis=1)


def images_of_styles(spec, second, w, noise=None):
    """What the synthesis computes, in numpy."""
    flat = w.reshape(len(w), -1)
    values = np.tanh((flat if noise is None else np.concatenate([flat, noise], axis=1)) @ second) * np.float32(
        127
    ) + np.float32(127)
    chw = np.round(values).reshape(len(w), spec.channels, spec.height, spec.width)
    return chw.transpose(0, 2, 3, 1).astype(np.uint8)


def make_style_graphs(spec: GeneratorSpec, first, second):
    """The whole, the mapping and the synthesis."""
    constants = {
        "first": first,
        "second": second,
        "half": np.float32(127),
        "shape": np.array([-1, spec.channels, spec.height, spec.width], np.int64),
        "row": np.array([-1, LAYERS * STYLE_DIM], np.int64),
        "one": np.array([1], np.int64),
        "times": np.array([1, LAYERS, 1], np.int64),
    }
    mapping = [
        helper.make_node("Mul", ["z", "truncation"], ["style"]),
        helper.make_node("MatMul", ["style", "first"], ["moved"]),
        helper.make_node("Unsqueeze", ["moved", "one"], ["alone"]),
        helper.make_node("Tile", ["alone", "times"], ["w"]),
    ]
    synthesis = [
        helper.make_node("Reshape", ["w", "row"], ["flat"]),
        helper.make_node("Concat", ["flat", "noise"] if spec.noise else ["flat"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "second"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["value"]),
        helper.make_node("Mul", ["value", "half"], ["scaled"]),
        helper.make_node("Add", ["scaled", "half"], ["levels"]),
        helper.make_node("Round", ["levels"], ["rounded"]),
        helper.make_node("Reshape", ["rounded", "shape"], ["chw"]),
        helper.make_node("Transpose", ["chw"], ["hwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["hwc"], ["image"], to=TensorProto.UINT8),
    ]
    z = [("z", TensorProto.FLOAT, [spec.latent_dim]), ("truncation", TensorProto.FLOAT, [1])]
    noise = [("noise", TensorProto.FLOAT, [spec.noise])] if spec.noise else []
    w = ("w", TensorProto.FLOAT, [LAYERS, STYLE_DIM])
    image = ("image", TensorProto.UINT8, [spec.height, spec.width, spec.channels])
    whole = (mapping + synthesis, z + noise, image)
    for nodes, inputs, output in (whole, (mapping, z, w), (synthesis, [w, *noise], image)):
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(name, kind, ["batch", *dims]) for name, kind, dims in inputs],
            [helper.make_tensor_value_info(output[0], output[1], ["batch", *output[2]])],
            [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items() if name in used],
        )
        yield helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture(scope="session")
def style_bundle(tmp_path_factory) -> Path:
    return make_style_bundle(tmp_path_factory.mktemp("bundles") / "styled")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def labelled_bundle(tmp_path_factory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "labelled", replace(SPEC, classes=CLASSES))


def configure(model: Path, **changes: Any) -> None:
    """Change settings of a published model's configuration, as a person would."""
    changed = replace(read_config(model), **changes)
    write_atomic(model / CONFIG, render(changed.warmed() if changed.warmup else changed))


@pytest.fixture
def make_repository(tmp_path, bundle) -> Callable[[], Path]:
    """A repository of a test's own, with one model, ``tiny``."""

    def make() -> Path:
        publish(bundle, "tiny", tmp_path / "repository")
        return tmp_path / "repository"

    return make


@pytest.fixture(scope="session")
def server(tmp_path_factory, bundle, labelled_bundle) -> Iterator[Supervisor]:
    """A Triton that no test harms. ``gathering`` waits for four images before it runs, or a second."""
    repository = tmp_path_factory.mktemp("served") / "repository"
    publish(bundle, "tiny", repository)
    publish(bundle, "tiny", repository)
    publish(labelled_bundle, "animals", repository)
    publish(bundle, "gathering", repository)
    configure(repository / "tiny", max_batch_size=16)
    configure(repository / "gathering", max_batch_size=4, queue=Queue(delay_us=1_000_000), instances=ONE)
    with Supervisor(repository, free_ports()) as supervisor:
        yield supervisor


@pytest.fixture(scope="session")
def style_server(tmp_path_factory, bundle, style_bundle, labelled_bundle) -> Iterator[Supervisor]:
    """A Triton with a model that has styles, in its second version, one that takes noise too, and some without.

    ``animals`` has classes, ``coded`` has codes.
    """
    repository = tmp_path_factory.mktemp("styled") / "repository"
    publish(style_bundle, "styled", repository)
    publish(style_bundle, "styled", repository)
    publish(bundle, "tiny", repository)
    publish(labelled_bundle, "animals", repository)
    publish(make_style_bundle(tmp_path_factory.mktemp("bundles") / "noisy", NOISY), "noisy", repository)
    publish(make_bundle(tmp_path_factory.mktemp("bundles") / "coded", CODED), "coded", repository)
    configure(repository / "styled_synthesis", max_batch_size=7)
    with Supervisor(repository, free_ports()) as supervisor:
        yield supervisor


@pytest.fixture(scope="session")
def thin_server(tmp_path_factory, bundle, labelled_bundle) -> Iterator[Supervisor]:
    """A Triton with two generators and their models for thin clients, one has classes; ``gathering`` waits as above.

    ``painter`` is a translator. ``events`` are what it told.
    """
    repository, events = tmp_path_factory.mktemp("thin") / "repository", []
    publishing.publish(bundle, "tiny", repository, trial=False)
    publishing.publish(labelled_bundle, "animals", repository, trial=False)
    publishing.publish(
        make_translator(tmp_path_factory.mktemp("bundles") / "painter"), "painter", repository, trial=False
    )
    publish(bundle, "gathering", repository)
    configure(repository / "gathering", max_batch_size=4, queue=Queue(delay_us=1_000_000), instances=ONE)
    with Supervisor(repository, free_ports(), on_event=events.append) as supervisor:
        supervisor.events = events
        yield supervisor


QUEUE_LIMIT = 2


@pytest.fixture(scope="session")
def limited_ports(tmp_path_factory, bundle) -> Iterator[ServerPorts]:
    """A Triton that nobody watches: few may wait for its model ``limited``, each for as long as it says itself."""
    repository = tmp_path_factory.mktemp("limited") / "repository"
    publish(bundle, "limited", repository)
    configure(repository / "limited", queue=Queue(700_000, QUEUE_LIMIT, 60_000_000, preferred=(64,)), instances=ONE)
    ports, workspace = free_ports(), make_workspace(find_triton())
    server = Server(find_triton(), repository, ports, Access(), "", workspace)
    try:
        assert server.wait_until_right(60, threading.Event())
        yield ports
    finally:
        server.end(0)
        remove_workspace(workspace)
