"""fp16 and int8: what is inside, the gate that each must pass, and what verification makes of them later."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from core.bundle import CARD, FP16, GOLDEN, GRAPH, INT8, read_bundle
from core.checkpoint import save_generator
from core.contract import OPSET
from core.difference import VisibleDifference
from core.errors import BundleError, ExportError
from core.golden import Golden
from core.networks import GENERATORS
from core.networks.style_layers import settle
from core.onnx.session import open_session, run
from core.trials import FAR, probe
from export.bundles.exporting import export_run
from export.bundles.options import ExportOptions
from export.bundles.verify import verify_bundle
from export.checks.rules import Contract, broken_rules
from export.checks.verification import Verification
from export.graphs.modules import ExportGraph
from export.precisions import gates
from export.precisions.fp16 import LARGEST, emulate, to_half
from export.precisions.int8 import to_int8
from export.precisions.limits import Limits, holds
from tests.export.conftest import SIZES, graph_of, lively, reseal, ship, tiny_spec

FLOAT, FLOAT16, INT = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8


def brightness(_spec, make) -> float:
    """Stands in for KID: a figure of images that a poor copy would change."""
    return float(make({"z": np.zeros((4, 8), np.float32), "truncation": np.ones((4, 1), np.float32)}).mean())


@pytest.fixture(scope="module")
def typed(run, tmp_path_factory):
    """A bundle in every precision. Not to be changed."""
    path = tmp_path_factory.mktemp("typed") / "sprites"
    export_run(run, path, options=ExportOptions(("fp16", "int8", "fp32"), brightness))
    return path


@pytest.fixture
def bundle(typed, tmp_path):
    return shutil.copytree(typed, tmp_path / "bundle")


def figures(bundle):
    return read_bundle(bundle).verification["precisions"]


def tensors(model, kind):
    return [t for t in model.graph.initializer if t.data_type == kind and len(t.dims) > 1]


def kinds(model):
    """The element type of every tensor that the graph computes, by name."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {value.name: value.type.tensor_type.elem_type for value in graph.value_info}


def test_a_bundle_in_every_precision(typed):
    assert {FP16, INT8, GRAPH} <= set(read_bundle(typed).files)
    found = figures(typed)
    assert found["fp16"]["probe"]["mean"] <= 0.25
    assert found["fp16"]["stretched_in_true_halves"]["most"] <= 8
    assert 1 < found["fp16"]["largest_value"] < LARGEST
    assert found["int8"]["probe"]["psnr"] >= 35
    assert found["int8"]["kid"] == pytest.approx(found["int8"]["kid_of_fp32"], rel=0.1)
    assert [found[name]["experimental"] for name in ("fp16", "int8")] == [False, True]
    checks = {finding.check: finding.figure for finding in verify_bundle(typed)}
    assert "PSNR" in checks["fp16"]
    assert "PSNR" in checks["int8"]
    card = (typed / CARD).read_text()
    assert f"| fp16 | `{FP16}` |" in card
    assert f"| int8 (experimental) | `{INT8}` |" in card


def test_fp16_is_typed_and_half_the_size(typed):
    model = onnx.load(typed / FP16)
    assert tensors(model, FLOAT16)
    assert not [t.name for t in tensors(model, FLOAT) if "weight" in t.name]
    made = kinds(model)
    heavy = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert heavy
    assert all(made[node.output[0]] == FLOAT16 for node in heavy)
    assert (typed / FP16).stat().st_size < 0.65 * (typed / GRAPH).stat().st_size


def test_int8_is_symmetric_and_has_no_other_operators(typed):
    model = onnx.load(typed / INT8)
    assert tensors(model, INT)
    zeros = {node.input[2] for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    assert zeros
    assert all(values[name].dtype == np.int8 and not values[name].any() for name in zeros)
    assert [entry.domain for entry in model.opset_import] == [""]
    weights = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in values]
    assert all(values[node.input[1]].size > 1 for node in weights)  # a scale for each channel


@pytest.mark.parametrize("family", GENERATORS)
def test_every_family_keeps_the_rules_and_its_images_in_fp16(family):
    graph, model, session = ship(family, "tall RGB")
    spec = graph.generator.spec
    half = to_half(model)
    assert holds(half, "fp16")
    assert list(broken_rules(half, Contract(spec, OPSET))) == []
    inputs = {name: value[-FAR:] for name, value in probe(spec).items()}
    expected = run(session, inputs)
    for images in (run(open_session(half.SerializeToString()), inputs), emulate(half, inputs).images):
        assert VisibleDifference.between(images, expected).mean < 0.25


@pytest.mark.parametrize("family", ["dcgan", "style"])
def test_families_keep_the_rules_in_int8(family):
    graph, model, _ = ship(family, "tall RGB")
    spec = graph.generator.spec
    quantised = to_int8(model, spec)
    assert holds(quantised, "int8")
    assert list(broken_rules(quantised, Contract(spec, OPSET))) == []


def test_typing_and_quantising_give_the_same_bytes_again_and_leave_the_graph_alone():
    graph, model, _ = ship("dcgan", "tall RGB")
    before = model.SerializeToString(deterministic=True)
    for make in (to_half, lambda model: to_int8(model, graph.generator.spec)):
        first, second = (make(model).SerializeToString(deterministic=True) for _ in range(2))
        assert first == second
    assert model.SerializeToString(deterministic=True) == before


def test_norms_and_pixels_stay_in_full_precision():
    """Squares summed over channels would overflow at 512 channels of 11.4; pixels end in steps of 1/255."""
    half = to_half(ship("progressive", "tall RGB").model)
    made = kinds(half)
    for node in half.graph.node:
        if node.op_type in ("ReduceMean", "Sqrt", "Reciprocal", "Round"):
            assert made[node.input[0]] == FLOAT, node.name


def scaled(factor: float, then: float) -> onnx.ModelProto:
    """x times ``factor`` times ``then``, typed FLOAT16 as pixels between two Casts."""
    nodes = [
        helper.make_node("Cast", ["z"], ["h"], to=FLOAT16),
        helper.make_node("Mul", ["h", "factor"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "then"], ["back"]),
        helper.make_node("Cast", ["back"], ["image"], to=FLOAT),
    ]
    constants = [numpy_helper.from_array(np.float16(v), n) for n, v in (("factor", factor), ("then", then))]
    ports = [helper.make_tensor_value_info(name, FLOAT, ["batch", 4]) for name in ("z", "image")]
    graph = helper.make_graph(nodes, "scaled", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


@given(st.lists(st.floats(-60000, 60000, width=32), min_size=4, max_size=4), st.sampled_from([0.5, 0.1, 0.003]))
def test_emulation_rounds_as_numpy_does(values, factor):
    z = np.array([values], np.float32)
    expected = z.astype(np.float16)
    for constant in (factor, 1.5):
        expected = (expected.astype(np.float32) * np.float32(np.float16(constant))).astype(np.float16)
    found = emulate(scaled(factor, 1.5), {"z": z})
    assert np.array_equal(found.images, expected.astype(np.float32))


def test_emulation_finds_the_overflow_that_onnxruntime_hides():
    model, z = scaled(1000.0, 0.001), np.array([[1.0, 2.0, 3.0, 1000.0]], np.float32)
    (hidden,) = open_session(model.SerializeToString()).run(["image"], {"z": z})
    assert np.isfinite(hidden).all()
    found = emulate(model, {"z": z})
    assert found.largest == np.inf
    assert found.where == "scaled"
    assert "scaled overflows" in str(found.complaint())
    assert emulate(model, {"z": z[:, :1].repeat(4, axis=1)}).largest == 1000


def test_a_weight_beyond_half_precision_is_named():
    model = onnx.ModelProto()
    model.CopyFrom(ship("dcgan", "tall RGB").model)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1e8), weight.name))
    with pytest.raises(ExportError, match=weight.name):
        to_half(model)


def grown_style() -> torch.nn.Module:
    generator = lively(tiny_spec("style", SIZES["grey from 7"]))
    with torch.no_grad():
        for layer in generator.layers:
            layer.weight.mul_(1e4)
    return generator


def test_settled_styles_make_the_same_images_and_fit_into_halves():
    generator, z = grown_style(), torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = generator(z)
        settle(generator)
        assert torch.allclose(generator(z), before, rtol=1e-5, atol=1e-6)
        sizes = [layer.weight.square().mean(dim=(1, 2, 3)).sqrt() for layer in generator.layers]
        assert all(((size > 0.7) & (size < 1.5)).all() for size in sizes)
        weights = [layer.weight.clone() for layer in generator.layers]
        settle(generator)
    assert all(torch.equal(layer.weight, weight) for layer, weight in zip(generator.layers, weights, strict=True))


def test_styles_that_grew_overflow_unless_they_are_settled(tmp_path):
    from export.graphs.convert import to_onnx

    generator = grown_style()
    inputs = {name: value[:2] for name, value in probe(generator.spec).items()}
    model = to_onnx(ExportGraph(generator))
    try:
        assert emulate(to_half(model), inputs).complaint()
    except ExportError as error:
        assert "weight" in str(error)  # which shows it before any image does
    save_generator(tmp_path / "generator.safetensors", generator)
    export_run(tmp_path, tmp_path / "bundle", options=ExportOptions(("fp16",)))
    assert figures(tmp_path / "bundle")["fp16"]["written"]


def test_a_precision_that_fails_is_left_out_and_the_rest_is_there(run, converted, tmp_path, monkeypatch):
    monkeypatch.setitem(gates.LIMITS, "fp16", Limits(mean=0.0, most=0))
    export_run(run, tmp_path / "out", options=ExportOptions(("fp16", "int8"), lambda spec, make: next(kids)))
    found = figures(tmp_path / "out")
    assert set(read_bundle(tmp_path / "out").files).isdisjoint({FP16, INT8})
    assert not found["fp16"]["written"]
    assert "0 is allowed" in found["fp16"]["failed"]
    assert "KID is 0.2000, fp32's 0.1000: 0.0100 apart" in found["int8"]["failed"]
    verification = Verification.of(read_bundle(tmp_path / "out"))
    assert [line.split(":")[0] for line in verification.failures()] == ["fp16 was not written", "int8 was not written"]
    with pytest.raises(ExportError, match=r"fp16 was not written: .*; int8 was not written: .*\(all else is in out\)"):
        verification.check_precisions(Path("out"))
    replace(verification, precisions={}).check_precisions(Path("out"))
    assert "not written: its mean error" in (tmp_path / "out" / CARD).read_text()
    verify_bundle(tmp_path / "out")


kids = iter([0.2, 0.1])


def test_what_cannot_be_had_is_said_before_anything_is_done(tmp_path):
    with pytest.raises(ExportError, match="--data"):
        export_run(tmp_path, tmp_path / "out", options=ExportOptions(("int8",)))
    with pytest.raises(ExportError, match="no precision 'fp8'"):
        export_run(tmp_path, tmp_path / "out", options=ExportOptions(("fp8",)))


@pytest.mark.parametrize("name", [FP16, INT8])
def test_another_graph_under_the_name_of_a_precision_is_refused(bundle, name):
    shutil.copy(bundle / GRAPH, bundle / name)
    reseal(bundle)
    with pytest.raises(BundleError, match="has no weights in") as caught:
        verify_bundle(bundle)
    assert name in str(caught.value)


@pytest.mark.parametrize(("name", "kind", "says"), [(FP16, FLOAT16, "levels"), (INT8, INT, "dB")])
def test_other_weights_under_the_name_of_a_precision_are_found(bundle, name, kind, says):
    model = onnx.load(bundle / name)
    for tensor in tensors(model, kind):
        tensor.CopyFrom(numpy_helper.from_array(np.flip(numpy_helper.to_array(tensor)).copy(), tensor.name))
    (bundle / name).write_bytes(model.SerializeToString())
    reseal(bundle)
    with pytest.raises(BundleError, match=says) as caught:
        verify_bundle(bundle)
    assert str(bundle / name) in str(caught.value)


def test_the_figures_are_plain_json(typed):
    values = json.loads((typed / "manifest.json").read_text())["verification"]["precisions"]
    assert set(values) == {"fp16", "int8"}
    assert len(Golden.read(typed / GOLDEN)) == 16
    assert graph_of(typed).graph.output[0].name == "image"
