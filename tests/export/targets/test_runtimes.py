"""Every family fits every target, and what does not fit is named: node, operator, and what to do."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.bundle import GRAPH, read_manifest
from core.contract import sample_inputs
from core.difference import MOST_LEVELS, levels_apart
from core.errors import BundleError
from core.networks import GENERATORS
from core.onnx.session import open_session, run
from export.targets.operators import INFERENCE_2_3, SENTIS_2_1, TENSORRT_10_15
from export.targets.runtimes import TARGETS, misfit
from export.targets.variants import VARIANTS, float_variant, legacy_variant, pixels
from tests.export.conftest import SIZES, graph_of, ship
from tests.export.foreign.test_inspection import model_of

SIZE = 1000


@pytest.fixture(params=[(f, s) for f in GENERATORS for s in SIZES], ids=" ".join)
def shipped(request):
    return ship(*request.param)


@pytest.mark.parametrize("name", TARGETS)
def test_every_family_fits_every_target(shipped, name):
    graph, model, _ = shipped
    if name in VARIANTS:
        model = VARIANTS[name][1](model, graph.generator.spec)
    assert misfit(model, model.ByteSize(), TARGETS[name]) is None


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_makes_the_same_images(shipped, name):
    graph, model, session = shipped
    spec = graph.generator.spec
    variant = VARIANTS[name][1](model, spec)
    inputs = sample_inputs(spec, range(300, 305), truncation=0.8)
    other = open_session(variant.SerializeToString())
    assert levels_apart(pixels(other, inputs), run(session, inputs)) <= MOST_LEVELS
    (values,) = other.run(["image"], inputs)
    assert values.dtype == np.float32
    assert values.shape == (5, spec.channels, spec.height, spec.width)
    assert 0 <= values.min() < 0.5 < values.max() <= 1


def test_variants_declare_what_they_give(exported):
    model = graph_of(exported)
    spec = read_manifest(exported).spec
    for variant, opset in ((float_variant, 18), (legacy_variant, 15)):
        made = variant(model, spec)
        onnx.checker.check_model(made, full_check=True)
        assert [entry.version for entry in made.opset_import] == [opset]
        (output,) = made.graph.output
        assert output.type.tensor_type.elem_type == TensorProto.FLOAT
        assert [side.dim_param or side.dim_value for side in output.type.tensor_type.shape.dim] == ["batch", 4, 32, 32]
        assert made.metadata_props == model.metadata_props
    assert model == graph_of(exported)  # untouched


def test_a_graph_with_another_ending_has_no_variant(exported):
    model = graph_of(exported)
    model.graph.node[-1].op_type = "Identity"
    with pytest.raises(BundleError, match="ends with Transpose then Identity"):
        float_variant(model, read_manifest(exported).spec)


def test_what_an_older_opset_has_not_is_an_error(exported):
    model = graph_of(exported)
    levels = model.graph.node[-2].input[0]
    model.graph.node.insert(
        len(model.graph.node) - 2, helper.make_node("CenterCropPad", [levels], ["soft"], name="soft")
    )
    model.graph.node[-2].input[0] = "soft"
    with pytest.raises(BundleError, match=r"'soft' \(CenterCropPad\) is newer than opset 15"):
        legacy_variant(model, read_manifest(exported).spec)


def one_node(operator, inputs=("x",), shape=("n", 4, 8, 8), opset=15, domain="", **attributes):
    weights = {"w": (4, 4, 3, 3), "scales": (4,)}
    node = helper.make_node(operator, list(inputs), ["y"], name="odd", domain=domain, **attributes)
    return model_of([node], {n: weights[n] for n in inputs if n in weights}, {"x": list(shape)}, {"y": None}, opset)


@pytest.mark.parametrize(
    ("name", "model", "says"),
    [
        ("unity", one_node("GRU"), r"'odd' \(GRU\) is not among the operators of Unity Sentis 2.6"),
        ("unity-legacy", one_node("Mish"), r"'odd' \(Mish\) is not among"),
        ("trt10", one_node("Bernoulli"), r"'odd' \(Bernoulli\) is not among the operators of TensorRT 10.15"),
        ("trt11", one_node("Bernoulli"), r"\(Bernoulli\)"),
        ("ort", one_node("Invented"), r"\(Invented\) is not among"),
        ("web", one_node("Blur", domain="com.acme"), r"of the domain 'com.acme'"),
        ("unity-legacy", one_node("Relu", opset=16), "opset is 16 and Unity Sentis 2.1 takes 7 to 15"),
        ("unity", one_node("Relu", opset=26), "opset is 26"),
        ("trt10", one_node("Relu", opset=8), "opset is 8 and TensorRT 10.15 takes 9 to 24"),
        ("ort", one_node("Relu", opset=23), "opset is 23"),
        ("unity", one_node("Cast", to=TensorProto.UINT8), r"'odd' \(Cast\) makes UINT8.*--target unity"),
        ("unity", one_node("Cast", to=TensorProto.FLOAT16), r"makes FLOAT16"),
        ("trt10", one_node("Cast", to=TensorProto.UINT8), None),
        ("unity", one_node("Conv", ("x", "x")), r"\(Conv\) computes its weights"),
        ("unity-legacy", one_node("ConvTranspose", ("x", "w"), group=2), "groups, dilations"),
        ("unity-legacy", one_node("ConvTranspose", ("x", "w"), dilations=[2, 2]), "groups, dilations"),
        ("unity", one_node("ConvTranspose", ("x", "w"), group=2), None),
        ("unity", one_node("ConvTranspose", ("x", "w"), output_shape=[9, 9]), "output shape"),
        ("unity-legacy", one_node("ConvTranspose", ("x", "w"), output_shape=[9, 9]), "output shape"),
        ("unity", one_node("Resize", ("x", "", "scales"), opset=18, antialias=1), "resamples in a way"),
        ("trt11", one_node("Resize", ("x", "", "scales"), opset=18, antialias=1), "cubic or antialiased"),
        ("trt10", one_node("Resize", ("x", "", "scales"), mode="cubic"), "cubic or antialiased"),
        ("trt10", one_node("Resize", ("x", "", "scales"), mode="linear"), None),
        ("web", one_node("Relu", shape=()), "'x' has no dimensions"),
    ],
)
def test_what_does_not_fit_is_named(name, model, says):
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    complaint = misfit(model, SIZE, TARGETS[name])
    assert (complaint is None) == (says is None)
    if says:
        assert re.search(says, complaint)
        assert "\n" not in complaint


def test_bytes_inside_the_graph_are_not_for_tensorrt(exported):
    model = graph_of(exported)
    transpose, cast = model.graph.node[-2], model.graph.node[-1]
    middle = transpose.input[0]
    cast.input[0], cast.output[0] = middle, "levels"
    transpose.input[0], transpose.output[0] = "levels", "image"
    assert "makes UINT8 inside the graph" in misfit(model, SIZE, TARGETS["trt10"])
    assert misfit(model, SIZE, TARGETS["ort"]) is None


def test_a_file_too_large_for_the_web_may_fit_elsewhere(exported):
    model = graph_of(exported)
    assert "100 MiB" in misfit(model, 100 * 2**20 + 1, TARGETS["web"])
    assert misfit(model, 100 * 2**20, TARGETS["web"]) is None
    assert misfit(model, 100 * 2**20 + 1, TARGETS["ort"]) is None


def test_an_ir_version_from_the_future():
    model = one_node("Relu")
    model.ir_version = 11
    assert "IR version is 11" in misfit(model, SIZE, TARGETS["triton"])
    assert misfit(model, SIZE, TARGETS["trt11"]) is None


@pytest.mark.parametrize("names", [SENTIS_2_1, INFERENCE_2_3, TENSORRT_10_15], ids=["2.1", "2.3", "TensorRT"])
def test_the_lists_hold_operators_of_onnx(names):
    assert all(onnx.defs.has(name) for name in names)
    assert len(names) > 130


def test_a_sparse_or_quantised_graph_of_nobody_is_no_surprise():
    model = one_node("QuantizeLinear", ("x", "scales"))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32(0.1), "scales"))
    assert "QuantizeLinear" in misfit(model, SIZE, TARGETS["unity"])
    assert misfit(model, SIZE, TARGETS["trt10"]) is None


def test_the_graph_of_a_bundle_fits_where_no_variant_is_needed(exported):
    size = (exported / GRAPH).stat().st_size
    found = {name: misfit(graph_of(exported), size, target) for name, target in TARGETS.items()}
    assert {name for name, complaint in found.items() if complaint} == set(VARIANTS)
