"""Verification of a bundle that is made by hand in a moment: each finding's figure, and each limit from both sides."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.bundle import FP16, GOLDEN, GRAPH, INT8, MAPPING, SYNTHESIS, read_manifest, write_manifest
from core.contract import OPSET, SPEC_KEY, sample_inputs
from core.errors import BundleError
from core.golden import Golden
from core.onnx import reading
from core.spec import GeneratorSpec
from export.bundles import verify
from export.bundles.provenance import Origin
from export.bundles.verify import Finding, check_graph, verify_bundle
from export.checks.rules import Contract
from tests.export.conftest import reseal

SPEC = GeneratorSpec("line", 2, 4, 3, latent_dim=3, noise=2)
LAYERS, STYLE_DIM, PIXELS = 2, 3, 24
ORIGIN = Origin("c" * 64, {"numpy": "1"}, {}, "philox")
MATRIX = np.random.RandomState(0).standard_normal((LAYERS * STYLE_DIM, PIXELS)).astype(np.float32) / 4
NOISE = np.random.RandomState(1).standard_normal((2, PIXELS)).astype(np.float32) / 8
CPU = "CPUExecutionProvider"

Z, TRUNCATION = ("z", 1, ["batch", 3]), ("truncation", 1, ["batch", 1])
W, NOISES = ("w", 1, ["batch", LAYERS, STYLE_DIM]), ("noise", 1, ["batch", 2])
IMAGE = ("image", TensorProto.UINT8, ["batch", 2, 4, 3])
MAP = [
    helper.make_node("Mul", ["z", "truncation"], ["style"]),
    helper.make_node("Unsqueeze", ["style", "one"], ["alone"]),
    helper.make_node("Tile", ["alone", "times"], ["w"]),
]
SYNTHESISE = [
    helper.make_node("Reshape", ["w", "row"], ["flat"]),
    helper.make_node("MatMul", ["flat", "matrix"], ["from_style"]),
    helper.make_node("MatMul", ["noise", "noises"], ["from_noise"]),
    helper.make_node("Add", ["from_style", "from_noise"], ["sum"]),
    helper.make_node("Tanh", ["sum"], ["value"]),
    helper.make_node("Mul", ["value", "hundred"], ["scaled"]),
    helper.make_node("Add", ["scaled", "hundred"], ["levels"]),
    helper.make_node("Round", ["levels"], ["rounded"]),
    helper.make_node("Reshape", ["rounded", "shape"], ["chw"]),
    helper.make_node("Transpose", ["chw"], ["hwc"], perm=[0, 2, 3, 1]),
    helper.make_node("Cast", ["hwc"], ["image"], to=TensorProto.UINT8),
]
CONSTANTS = {
    "one": np.array([1], np.int64),
    "times": np.array([1, LAYERS, 1], np.int64),
    "row": np.array([-1, LAYERS * STYLE_DIM], np.int64),
    "shape": np.array([-1, 3, 2, 4], np.int64),
    "hundred": np.float32(100),
    "matrix": MATRIX,
    "noises": NOISE,
}


def graph(nodes, takes, gives, **constants):
    """A graph that says what ours say of where they come from."""
    values = {**CONSTANTS, **constants}
    used = {name for node in nodes for name in node.input} - {name for node in nodes for name in node.output}
    ports = [helper.make_tensor_value_info(*port) for port in (*takes, gives)]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items() if name in used]
    made = helper.make_graph(nodes, "hand", ports[:-1], ports[-1:], weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    helper.set_model_props(model, {SPEC_KEY: SPEC.to_json(), **ORIGIN.metadata()})
    return model


def whole(**constants):
    return graph(MAP + SYNTHESISE, (Z, TRUNCATION, NOISES), IMAGE, **constants)


def typed(dtype, scale=1.0):
    """The whole with its matrix in another type, made float32 again before it is used."""
    widened = [
        helper.make_node("Cast", ["narrow"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "scale"], ["matrix"]),
    ]
    narrow = (MATRIX / np.float32(scale)).round(0 if dtype == np.int8 else 9).astype(dtype)
    return graph(
        [*MAP, *widened, *SYNTHESISE],
        (Z, TRUNCATION, NOISES),
        IMAGE,
        narrow=narrow,
        scale=np.float32(scale),
    )


def images_of(inputs):
    """The same in numpy."""
    style = np.tile(inputs["z"] * inputs["truncation"], (1, LAYERS))
    levels = np.round(np.tanh(style @ MATRIX + inputs["noise"] @ NOISE) * np.float32(100) + np.float32(100))
    return levels.reshape(-1, 3, 2, 4).transpose(0, 2, 3, 1).astype(np.uint8)


def save(path, model):
    path.write_bytes(model.SerializeToString())


@pytest.fixture
def bundle(tmp_path):
    """The whole, its two parts, and both precisions."""
    path = tmp_path / "bundle"
    path.mkdir()
    save(path / GRAPH, whole())
    save(path / MAPPING, graph(MAP, (Z, TRUNCATION), W))
    save(path / SYNTHESIS, graph(SYNTHESISE, (W, NOISES), IMAGE))
    save(path / FP16, typed(np.float16))
    save(path / INT8, typed(np.int8, float(np.abs(MATRIX).max()) / 127))
    inputs = sample_inputs(SPEC, range(5), truncation=0.7)
    (path / GOLDEN).write_bytes(Golden(inputs, images_of(inputs)).to_bytes())
    origin = {"checkpoint_sha256": ORIGIN.checkpoint_sha256, "tools": ORIGIN.tools, "judged": ORIGIN.judged}
    write_manifest(path, spec=SPEC, opset=OPSET, seed_algorithm=ORIGIN.seed_algorithm, **origin)
    return path


def refusal(bundle, **how):
    with pytest.raises(BundleError) as caught:
        verify_bundle(bundle, **how)
    return str(caught.value)


def without(bundle, *names):
    for name in names:
        (bundle / name).unlink()
    reseal(bundle)


class Fake:
    """Stands in for a session: what numpy makes, and what ``spoil(images, call)`` makes of that."""

    def __init__(self, spoil):
        self.spoil, self.calls = spoil, 0

    def run(self, outputs, inputs):
        self.calls += 1
        return [self.spoil(images_of(inputs), self.calls)]

    def get_providers(self):
        return ["Fake", CPU]


def brighter(levels, *calls):
    """So many levels more in the first pixel of the first image, in those calls."""

    def spoil(images, call):
        images = images.copy()
        if call in calls:
            images[0, 0, 0, 0] += levels
        return images

    return spoil


def test_every_finding_and_its_figure(bundle):
    found = verify_bundle(bundle)
    agreed = "5 within 0 of 255 levels"
    half, eighth = found.pop(5), found.pop(5)
    assert found == [
        Finding("files", "6 unchanged since the export"),
        Finding("graph rules", f"15 kept, opset {OPSET}"),
        Finding("golden images", f"{agreed}, 0.000% of pixels differ"),
        Finding("alone and in a batch", agreed),
        Finding("two runs", f"bit-identical on {CPU}"),
        Finding("mapping and synthesis", f"{agreed}, 0.000% of pixels differ"),
    ]
    assert (half.check, eighth.check) == ("fp16", "int8")
    assert half.figure.startswith("golden images: mean 0.0")
    assert eighth.figure.startswith("golden images: mean ")
    assert eighth.figure.endswith(" dB")


def test_only_what_is_there_is_checked(bundle):
    without(bundle, FP16, INT8, MAPPING, SYNTHESIS)
    checks = [finding.check for finding in verify_bundle(bundle)]
    assert checks == ["files", "graph rules", "golden images", "alone and in a batch", "two runs"]


def test_targets_come_after_precisions_and_before_parts(bundle, monkeypatch):
    reseal(bundle, verification={"targets": {"web": {"a": 1}}})
    told = []

    def verify_targets(*given):
        told.extend(given)
        return {"web": "fine", "phone": "so so"}

    monkeypatch.setattr(verify, "verify_targets", verify_targets)
    checks = [finding for finding in verify_bundle(bundle) if finding.check.startswith("target")]
    assert checks == [Finding("target web", "fine"), Finding("target phone", "so so")]
    path, targets, files, golden, provider = told
    assert (path, targets, provider) == (bundle, {"web": {"a": 1}}, CPU)
    assert files == read_manifest(bundle).files
    assert len(golden) == 5


def test_every_graph_runs_where_it_is_asked_to(bundle, monkeypatch):
    opened = []
    real = verify.open_session

    def open_session(graph, provider, threads):
        opened.append((provider, threads))
        return real(graph)

    monkeypatch.setattr(verify, "open_session", open_session)
    verify_bundle(bundle, CPU, threads=3)
    assert opened == [(CPU, 3)] * 5
    opened.clear()
    verify_bundle(bundle)
    assert opened == [(CPU, 0)] * 5


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (brighter(2, 1, 2), f"its images differ from those in {GOLDEN} by 2 of 255 levels, 1 is allowed: export again"),
        (brighter(1, 2), "two runs on the same inputs differ"),
        (brighter(2, 4), "an image alone differs from the same image in a batch by 2 of 255 levels, 1 is allowed"),
        (lambda images, call: images[:, :1], f"its images differ from those in {GOLDEN} by 256 of 255 levels"),
    ],
)
def test_a_graph_that_does_not_make_its_golden_images(bundle, monkeypatch, spoil, says):
    without(bundle, FP16, INT8, MAPPING, SYNTHESIS)
    monkeypatch.setattr(verify, "open_session", lambda *_: Fake(spoil))
    assert refusal(bundle).startswith(f"{bundle / GRAPH}: {says}")


def test_a_level_more_is_as_good_and_is_told(bundle, monkeypatch):
    """One of 40 pixels differs in the batch, and the second image alone differs from that in the batch."""
    without(bundle, FP16, INT8, MAPPING, SYNTHESIS)
    monkeypatch.setattr(verify, "open_session", lambda *_: Fake(brighter(1, 1, 2, 4)))
    assert verify_bundle(bundle)[2:] == [
        Finding("golden images", "5 within 1 of 255 levels, 2.500% of pixels differ"),
        Finding("alone and in a batch", "5 within 1 of 255 levels"),
        Finding("two runs", "bit-identical on Fake"),
    ]


def test_a_precision_that_is_too_far_off(bundle):
    save(bundle / INT8, typed(np.int8, 0.5))
    reseal(bundle)
    assert refusal(bundle).startswith(f"{bundle / INT8}: against {GOLDEN}, its PSNR is ")


@pytest.mark.parametrize(("name", "precision"), [(FP16, "fp16"), (INT8, "int8")])
def test_a_precision_that_only_claims_to_be_one(bundle, name, precision):
    save(bundle / name, whole())
    reseal(bundle)
    assert refusal(bundle) == f"{bundle / name} has no weights in {precision}: export again"


def test_a_precision_that_cannot_be_run_is_named(bundle, monkeypatch):
    real = verify.open_session

    def open_session(graph, *how):
        if graph == (bundle / FP16).read_bytes():
            raise BundleError("it failed")
        return real(graph, *how)

    monkeypatch.setattr(verify, "open_session", open_session)
    assert refusal(bundle) == f"{bundle / FP16}: it failed"


@pytest.mark.parametrize("name", [MAPPING, SYNTHESIS])
def test_half_of_the_two_parts_is_none(bundle, name):
    without(bundle, name)
    assert refusal(bundle) == f"{bundle} lacks {name}, the other half of what it holds: export again"


def test_parts_that_make_other_images_are_named(bundle):
    save(bundle / SYNTHESIS, graph(SYNTHESISE, (W, NOISES), IMAGE, matrix=-MATRIX))
    reseal(bundle)
    message = refusal(bundle)
    assert message.startswith(f"{bundle / MAPPING} and {SYNTHESIS}: its images differ from those in {GOLDEN} by ")


@pytest.mark.parametrize("name", [GRAPH, MAPPING, SYNTHESIS, FP16, INT8])
@pytest.mark.parametrize("fact", [SPEC_KEY, "ganfoundry_checkpoint_sha256"])
def test_every_graph_must_say_where_it_comes_from(bundle, name, fact):
    model = onnx.load(bundle / name)
    next(entry for entry in model.metadata_props if entry.key == fact).value = "0"
    save(bundle / name, model)
    reseal(bundle)
    assert refusal(bundle).startswith(f"{bundle / name}: the graph breaks a rule, ")


@pytest.mark.parametrize("sides", [[3], [2, 3, 1], [0, 3], [2, 0], [0, 0]])
def test_styles_have_two_sides_that_are_known(bundle, sides):
    model = onnx.load(bundle / MAPPING)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("w", 1, ["batch", *(side or "n" for side in sides)]))
    save(bundle / MAPPING, model)
    reseal(bundle)
    assert refusal(bundle) == f"{bundle / MAPPING} does not give a style for each layer: export again"


def test_a_mapping_that_gives_nothing(bundle):
    model = onnx.load(bundle / MAPPING)
    model.graph.ClearField("output")
    save(bundle / MAPPING, model)
    reseal(bundle)
    assert refusal(bundle) == f"{bundle / MAPPING} does not give a style for each layer: export again"


def test_a_style_of_one_value_for_one_layer_is_a_style(bundle):
    """Narrow as it is: what is wrong with it is only that the synthesis wants another."""
    model = onnx.load(bundle / MAPPING)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("w", 1, ["batch", 1, 1]))
    save(bundle / MAPPING, model)
    reseal(bundle)
    assert "does not give a style" not in refusal(bundle)


@pytest.mark.parametrize(
    "other",
    [
        {"latent_dim": 4},
        {"noise": 3},
        {"height": 4},
        {"codes": 1},
        {"classes": ("a",)},
    ],
)
def test_golden_images_of_another_generator(bundle, other):
    spec = replace(SPEC, **other)
    inputs = sample_inputs(spec, range(5))
    images = np.zeros((5, spec.height, spec.width, 3), np.uint8)
    (bundle / GOLDEN).write_bytes(Golden(inputs, images).to_bytes())
    reseal(bundle)
    assert refusal(bundle) == f"{bundle / GOLDEN} holds golden images of another generator: export again"


@pytest.mark.parametrize("data", [b"", b"not a zip"])
def test_golden_images_that_are_no_archive(bundle, data):
    (bundle / GOLDEN).write_bytes(data)
    reseal(bundle)
    assert refusal(bundle).startswith(f"{bundle / GOLDEN} holds no golden images (")


def test_golden_inputs_of_another_type(bundle):
    golden = Golden.read(bundle / GOLDEN)
    inputs = {name: value.astype(np.float64) for name, value in golden.inputs.items()}
    (bundle / GOLDEN).write_bytes(Golden(inputs, golden.images).to_bytes())
    reseal(bundle)
    assert "another generator" in refusal(bundle)


def test_the_largest_graph_is_what_protobuf_can_hold(bundle, monkeypatch):
    assert reading.LARGEST_GRAPH == 2_147_483_647
    without(bundle, FP16, INT8, MAPPING, SYNTHESIS)
    size = (bundle / GRAPH).stat().st_size
    monkeypatch.setattr(reading, "LARGEST_GRAPH", size)
    verify_bundle(bundle)
    monkeypatch.setattr(reading, "LARGEST_GRAPH", size - 1)
    assert f"is larger than {size - 1} bytes" in refusal(bundle)


def test_a_graph_alone():
    check_graph(whole(), Contract(SPEC, OPSET, facts=ORIGIN.metadata()))
    with pytest.raises(BundleError, match=r"the graph breaks a rule, opset: \[18\] instead of 17"):
        check_graph(whole(), Contract(SPEC, 17, facts=ORIGIN.metadata()))
