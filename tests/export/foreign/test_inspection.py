"""What an ONNX file is: counted against closed forms and PyTorch's own counter, for files from anywhere."""

import json
import random
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from core.bundle import GRAPH, MANIFEST
from core.errors import BundleError
from core.networks import GENERATORS
from export.checks.flops import flops
from export.foreign.inspection import describe, inspect, inspect_file
from export.targets.runtimes import TARGETS
from tests.export.conftest import ship


def model_of(nodes, weights, given, made, opset=18) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given.items()]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in made.items()]
    tensors = [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def saved(model, path):
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_flops_of_a_convolution(groups, stride):
    """8 to 12 channels, 5x3, 16x20 pixels, paddings that keep the size: 2 x out x (8 / groups) x 15 x pixels out."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=groups, pads=[2, 1, 2, 1], strides=[stride, stride])
    model = model_of([node], {"w": (12, 8 // groups, 5, 3)}, {"x": ["n", 8, 16, 20]}, {"y": ["n", 12, "h", "w"]})
    assert flops(model) == 2 * 12 * (8 // groups) * 15 * (16 // stride) * (20 // stride)


def test_flops_of_a_transposed_convolution():
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
    model = model_of([node], {"w": (8, 6, 4, 4)}, {"x": ["n", 8, 5, 7]}, {"y": ["n", 6, 10, 14]})
    assert flops(model) == 2 * 8 * 6 * 16 * 5 * 7


@pytest.mark.parametrize("transposed", [0, 1])
def test_flops_of_matrix_products(transposed):
    gemm = helper.make_node("Gemm", ["x", "a"], ["h"], transB=transposed)
    product = helper.make_node("MatMul", ["h", "b"], ["y"])
    weights = {"a": (7, 5) if transposed else (5, 7), "b": (7, 3)}
    model = model_of([gemm, product], weights, {"x": ["n", 5]}, {"y": ["n", 3]})
    assert flops(model) == 2 * (5 * 7 + 7 * 3)


def test_flops_are_those_of_one_image_whatever_the_exporter_wrote_of_batches():
    node = helper.make_node("MatMul", ["x", "a"], ["y"])
    model = model_of([node], {"a": (4, 2)}, {"x": ["batch", 4]}, {"y": ["batch", 2]})
    model.graph.value_info.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [16, 2]))
    assert flops(model) == 16


def test_what_cannot_be_counted_is_unknown_and_not_0():
    einsum = helper.make_node("Einsum", ["x", "a"], ["y"], equation="ni,ij->nj")
    assert flops(model_of([einsum], {"a": (4, 2)}, {"x": ["n", 4]}, {"y": ["n", 2]})) is None
    unknown = model_of([helper.make_node("MatMul", ["x", "z"], ["y"])], {}, {"x": ["n", 4]}, {"y": ["n", 2]})
    assert flops(unknown) is None


def counted(graph):
    """What PyTorch's own counter finds for one image."""
    with FlopCounterMode(display=False) as counter:
        graph(**{name: torch.from_numpy(value) for name, value in graph.samples(1).items()})
    return counter.get_total_flops()


@pytest.mark.filterwarnings("ignore::UserWarning")  # the exporter says which names of axes it keeps
def test_flops_of_a_network_as_it_is_are_those_pytorch_counts():
    graph = ship("r3gan", "grey from 7").graph
    inputs = {name: torch.from_numpy(value) for name, value in graph.samples(2).items()}
    sizes = {name: {0: torch.export.Dim("batch")} for name in inputs}
    program = torch.onnx.export(
        graph, kwargs=inputs, dynamo=True, dynamic_shapes=sizes, opset_version=18, verbose=False
    )
    assert flops(program.model_proto) == counted(graph)


@pytest.mark.parametrize("family", GENERATORS)
def test_flops_of_every_family_are_known_and_no_more_than_the_networks(family):
    """What ships does less where work was folded: enlarging and a 3x3 convolution may become four of 2x2, 4/9."""
    graph, model, _ = ship(family, "square RGBA")
    assert 4 / 9 * counted(graph) <= flops(model) <= counted(graph)


def test_a_size_that_pytorch_wraps_in_a_list_is_followed():
    """Shape, Squeeze, Reshape to [-1], Concat: what its exporter writes for the batch of a view."""
    nodes = [
        helper.make_node("Shape", ["x"], ["sides"], start=0, end=1),
        helper.make_node("Squeeze", ["sides"], ["count"]),
        helper.make_node("Reshape", ["count", "flat"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["h"], allowzero=1),
        helper.make_node("MatMul", ["h", "a"], ["y"]),
    ]
    model = model_of(nodes, {"a": (2, 5)}, {"x": ["n", 6]}, {"y": ["n", 3, 5]})
    for name, value in (("flat", [-1]), ("rest", [3, 2])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    assert flops(model) == 2 * 3 * 2 * 5


@pytest.fixture(scope="module")
def found(exported):
    (inspection,) = inspect(exported)
    return inspection


def test_a_bundle_is_inspected_graph_by_graph(exported, found):
    assert found == inspect_file(exported / GRAPH, GRAPH)
    assert [(v.name, v.dtype, v.shape) for v in found.inputs] == [
        ("z", "FLOAT", ("batch", 8)),
        ("truncation", "FLOAT", ("batch", 1)),
    ]
    assert [(v.name, v.dtype, v.shape) for v in found.outputs] == [("image", "UINT8", ("batch", 32, 32, 4))]
    assert found.bytes == (exported / GRAPH).stat().st_size
    assert (found.opset, found.ir_version) == (18, 10)
    assert found.producer.startswith("ganfoundry ")


def test_operators_are_counted(exported, found):
    nodes = onnx.load(exported / GRAPH).graph.node
    assert sum(found.operators.values()) == len(nodes)
    assert found.operators["Transpose"] == sum(node.op_type == "Transpose" for node in nodes)
    assert list(found.operators.values()) == sorted(found.operators.values(), reverse=True)


def test_parameters_are_what_was_learnt(tmp_path):
    weights = {"w": (12, 8, 3, 3), "b": (12,)}
    node = helper.make_node("Conv", ["x", "w", "b"], ["h"])
    reshape = helper.make_node("Reshape", ["h", "shape"], ["y"])
    model = model_of([node, reshape], weights, {"x": ["n", 8, 4, 4]}, {"y": ["n", 48]})
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 48], np.int64), "shape"))
    assert inspect(saved(model, tmp_path / "m.onnx"))[0].parameters == 12 * 8 * 9 + 12


def test_the_table_has_every_target_and_why_not(found):
    rows = dict(describe(found))
    assert rows["fits web"] == "yes"
    assert "(Cast) makes UINT8" in rows["fits unity"]
    assert "opset is 18" in rows["fits unity-legacy"]
    assert set(found.targets) == set(TARGETS)
    assert all("multiply-add" in value for label, value in describe(found) if label == "FLOPs")


def test_a_foreign_model_of_several_domains(tmp_path):
    odd = helper.make_node("Blur", ["x"], ["y"], domain="com.acme", name="soft")
    model = model_of([odd], {}, {"x": ["n", 4]}, {"y": ["n", 4]}, opset=15)
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    model.producer_name = "evil\x1b[31m\nname"
    inspection = inspect(saved(model, tmp_path / "m.onnx"))[0]
    assert inspection.operators == {"com.acme.Blur": 1}
    assert inspection.producer == "evil?[31m?name"
    assert all("'soft' (Blur) is of the domain 'com.acme'" in why for why in inspection.targets.values())


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x00" * 100, b"\x08\x08", bytes(range(256)), b"PK\x03\x04rest of a zip"],
    ids=["empty", "text", "zeros", "only a version", "bytes", "zip"],
)
def test_what_is_no_model_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.onnx is not an ONNX model"):
        inspect(tmp_path / "model.onnx")


def test_what_is_not_there_or_no_bundle(tmp_path, exported):
    with pytest.raises(BundleError, match="does not exist"):
        inspect(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="is not a bundle"):
        inspect(tmp_path)
    with pytest.raises(BundleError, match="name its folder"):
        inspect(exported / MANIFEST)


def test_a_bundle_that_lacks_its_graph(bundle):
    (bundle / GRAPH).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        inspect(bundle)


def test_damaged_models_end_in_an_error_of_ours_or_an_answer(exported, tmp_path):
    whole, path, chance = (exported / GRAPH).read_bytes(), tmp_path / "m.onnx", random.Random(7)
    refused = 0
    for _ in range(150):
        data = bytearray(whole[: chance.choice((len(whole), chance.randrange(len(whole))))])
        for _ in range(chance.choice((0, 1, 30))):
            if data:
                data[chance.randrange(min(len(data), chance.choice((200, len(data)))))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            describe(inspect(path)[0])
        except BundleError as error:
            assert "\n" not in str(error)
            refused += 1
    assert 10 < refused < 150


def test_absurd_sides_cost_nothing(tmp_path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = model_of([node], {"w": (4, 4)}, {"x": [2**40, 4]}, {"y": [2**40, 4]})
    model.graph.initializer[0].dims[:] = [2**50, 2**50]
    inspection = inspect(saved(model, tmp_path / "m.onnx"))[0]
    assert inspection.parameters == 2**100


def test_inspecting_needs_no_torch(exported):
    code = (
        "import sys; from pathlib import Path; from export.foreign.inspection import inspect;"
        "inspect(Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(exported)], check=True, timeout=60)


def test_the_command_prints_a_table_or_json(exported):
    def cli(*flags: str) -> str:
        command = [sys.executable, "cli.py", "inspect", str(exported), *flags]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    (values,) = json.loads(cli("--json"))
    assert values["file"] == GRAPH
    assert values["inputs"][0] == {"name": "z", "dtype": "FLOAT", "shape": ["batch", 8]}
    assert values["targets"]["ort"] is None
    assert GRAPH in cli()
