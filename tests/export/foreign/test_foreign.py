"""Generators from elsewhere, of every shape they come in: the contract's images, or one line that says why not."""

import json
import logging
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import cli
from core.bundle import CARD, GOLDEN, GRAPH, INT8, read_manifest
from core.contract import OPSET, sample_inputs
from core.difference import levels_apart
from core.errors import ExportError, GanfoundryError
from core.files import sha256
from core.golden import Golden
from core.latents import latents
from core.onnx.session import open_session, run
from core.pixels import to_pixels
from export.bundles.options import ExportOptions
from export.bundles.verify import verify_bundle
from export.foreign.exporting import export_foreign
from export.foreign.hints import ImportHints, parse_classes, parse_fixed, parse_range
from export.foreign.original import to_images
from export.targets.runtimes import TARGETS
from tests.export.conftest import SIZES, lively, tiny_spec
from tests.export.foreign.foreign_models import CLASSES, FIXED, Foreign

PLAIN = ImportHints((-1, 1))
LABELLED = ImportHints((-1, 1), latent="z", label="y", classes=CLASSES)
FIX = ImportHints((-1, 1), latent="z", fixed={"psi": str(FIXED)})

VARIANTS = {
    "plain": (Foreign(), PLAIN),
    "grey": (Foreign(channels=1), PLAIN),
    "sides of no doubling": (Foreign(height=37, width=5), PLAIN),
    "channels last": (Foreign(layout="NHWC"), PLAIN),
    "half precision": (Foreign(half=True), PLAIN),
    "0 to 1": (Foreign(low=0, high=1), ImportHints((0, 1))),
    "0 to 255": (Foreign(low=0, high=255), ImportHints((0, 255))),
    "four-sided latent": (Foreign(ones=2), PLAIN),
    "batches of 1": (Foreign(batch=1), PLAIN),
    "batches of 4, four-sided": (Foreign(batch=4, ones=2), PLAIN),
    "opset 7": (Foreign(opset=7), PLAIN),
    "opset 13": (Foreign(opset=13, layout="NHWC"), PLAIN),
    "opset 21": (Foreign(opset=21), PLAIN),
    "one-hot": (Foreign(label="one-hot"), LABELLED),
    "one-hot, half": (Foreign(label="one-hot", half=True), LABELLED),
    "class numbers": (Foreign(label="number"), LABELLED),
    "a column of class numbers": (Foreign(label="column"), LABELLED),
    "batches of 1 with a class": (Foreign(label="number", batch=1), LABELLED),
    "a fixed scalar": (Foreign(psi="scalar"), FIX),
    "a fixed vector": (Foreign(psi="one"), FIX),
    "a fixed value a row": (Foreign(psi="row"), FIX),
    "a fixed value a row, batches of 1": (Foreign(psi="row", batch=1), FIX),
}


def save(foreign: Foreign | onnx.ModelProto, folder: Path) -> Path:
    model = foreign.model() if isinstance(foreign, Foreign) else foreign
    (folder / "theirs.onnx").write_bytes(model.SerializeToString())
    return folder / "theirs.onnx"


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_keeps_the_contract_and_makes_the_images_of_its_formula(variant, tmp_path):
    foreign, hints = VARIANTS[variant]
    manifest = export_foreign(save(foreign, tmp_path), tmp_path / "bundle", hints)
    spec = manifest.spec
    assert (spec.family, spec.height, spec.width, spec.channels) == (
        "foreign",
        *np.shape(foreign.values(np.zeros((1, 8)), np.zeros(1, int)))[1:],
    )
    inputs = sample_inputs(spec, range(50, 57), truncation=0.75)
    found = run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), inputs)
    label = inputs["label"][:, 0] if foreign.label else None
    expected = np.rint(255 * foreign.values(inputs["z"] * 0.75, label)).astype(np.uint8)
    assert levels_apart(found, expected) <= 1
    assert (found != expected).mean() < (0.1 if foreign.half else 0.001)
    assert expected.std() > 10
    assert set(inputs) == {"z", "truncation"} | ({"label"} if foreign.label else set())
    verify_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("premultiplied", [False, True])
def test_alpha_is_straight_and_hides_no_colour(tmp_path, premultiplied):
    foreign = Foreign(channels=4, latent=2)
    export_foreign(save(foreign, tmp_path), tmp_path / "bundle", replace(PLAIN, premultiplied=premultiplied))
    inputs = {"z": 12 * latents(range(64), 2), "truncation": np.ones((64, 1), np.float32)}
    found = run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), inputs)
    values = foreign.values(inputs["z"])
    colour, alpha = values[..., :3], values[..., 3:]
    if premultiplied:
        colour = np.minimum(colour / np.maximum(alpha, 1e-9), 1)
    clear, solid = found[..., 3] == 0, found[..., 3] > 1
    assert clear.mean() > 0.05
    assert not found[clear].any()
    assert np.abs(found[solid][:, :3] - 255 * colour[solid]).max() <= 1
    assert levels_apart(found[..., 3:], np.rint(255 * alpha).astype(np.uint8)) <= 1


def test_the_reference_s_pixels_are_those_of_our_own_networks():
    """to_images shares no code with core.pixels, and agrees with it wherever alpha is not next to nothing."""
    values = np.random.RandomState(0).uniform(-1.2, 1.2, (4, 4, 9, 7)).astype(np.float32)
    values[:, 3, :2] = np.linspace(-1, -0.98, 7)
    expected = to_pixels(torch.from_numpy(values), (-1, 1)).numpy()
    assert levels_apart(to_images(values, "NCHW", (-1, 1), True), expected) <= 1
    assert levels_apart(to_images(values.transpose(0, 2, 3, 1), "NHWC", (-1, 1), True), expected) <= 1
    straight = to_images(values, "NCHW", (-1, 1), False)
    assert levels_apart(straight[..., 3:], expected[..., 3:]) <= 1
    assert not straight[straight[..., 3] == 0].any()


@pytest.fixture(scope="module")
def ours():
    """A DCGAN, and the images it makes of eight seeds."""
    generator = lively(tiny_spec("dcgan", SIZES["square RGBA"]))
    with torch.no_grad():
        values = generator(torch.from_numpy(latents(range(8), 8)))
    return generator, to_pixels(values, (-1, 1)).numpy()


class Square(torch.nn.Module):
    """As most DCGANs take their latents, (n, D, 1, 1)."""

    def __init__(self, generator: torch.nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        return self.generator(noise[:, :, 0, 0])


def export_plainly(generator, path: Path, **how) -> None:
    z = torch.randn(how.pop("batch", 2), 8, 1, 1)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(generator, (z,), path, input_names=["noise"], **how)
    finally:
        logging.disable(logging.NOTSET)


EXPORTERS = {
    "old": {"dynamo": False, "opset_version": 11, "dynamic_axes": {"noise": {0: "n"}}},
    "old, batches of 1": {"dynamo": False, "opset_version": 14, "batch": 1},
    "new": {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("n")},), "verbose": False},
}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_network_that_pytorch_exported_plainly(ours, exporter, tmp_path):
    generator, expected = ours
    export_plainly(Square(generator).eval(), tmp_path / "theirs.onnx", **EXPORTERS[exporter])
    manifest = export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", replace(PLAIN, premultiplied=True))
    golden = Golden.read(tmp_path / "bundle" / GOLDEN)
    assert levels_apart(golden.images[:8], expected) <= 1
    weights = {path.name: sha256(path) for path in tmp_path.glob("*.data")}
    assert manifest.verification["original"]["weights_sha256"] == weights
    assert bool(weights) == (exporter == "new")  # which keeps weights in a file beside the graph
    verify_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("variant", ["grey", "sides of no doubling", "one-hot", "opset 7", "batches of 4, four-sided"])
def test_it_has_what_a_generator_of_ours_has(variant, tmp_path):
    """Other precisions, engines built, and what each target needs."""
    foreign, hints = VARIANTS[variant]
    options = ExportOptions(("fp16",), targets=tuple(TARGETS), tensorrt=True)
    manifest = export_foreign(save(foreign, tmp_path), tmp_path / "bundle", hints, options=options)
    found = manifest.verification
    assert found["precisions"]["fp16"]["failed"] is None
    assert found["precisions"]["fp16"]["probe"]["most"] <= 4
    assert set(found["targets"]) == set(TARGETS)
    assert found["targets"]["unity-legacy"]["levels_from_golden"] <= 1
    assert set(found["tensorrt"]["engines"]) == {"fp32", "fp16"}
    assert "fp16" in (tmp_path / "bundle" / CARD).read_text()
    assert len(verify_bundle(tmp_path / "bundle")) >= 6 + len(TARGETS)


def test_a_network_from_elsewhere_in_int8(ours, tmp_path):
    export_plainly(Square(ours[0]).eval(), tmp_path / "theirs.onnx", **EXPORTERS["old"])
    options = ExportOptions(
        ("int8",), measure_kid=lambda _, make: float(make(sample_inputs(spec, range(4))).mean() / 1000)
    )
    spec = tiny_spec("dcgan", SIZES["square RGBA"])
    hints = replace(PLAIN, premultiplied=True)
    manifest = export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", hints, options=options)
    assert manifest.verification["precisions"]["int8"]["failed"] is None
    verify_bundle(tmp_path / "bundle")


def test_what_holds_nothing_to_quantise_is_left_out_of_int8(tmp_path):
    options = ExportOptions(("int8",), measure_kid=lambda *_: 0.1)
    manifest = export_foreign(save(Foreign(), tmp_path), tmp_path / "bundle", PLAIN, options=options)
    assert "no weights that int8 is for" in manifest.verification["precisions"]["int8"]["failed"]
    assert INT8 not in manifest.files
    verify_bundle(tmp_path / "bundle")


def test_halves_inside_are_nothing_for_unity(tmp_path):
    with pytest.raises(ExportError, match=r"FLOAT16.*compute in FP32"):
        export_foreign(
            save(Foreign(half=True), tmp_path), tmp_path / "b", PLAIN, options=ExportOptions(targets=("unity",))
        )
    assert not (tmp_path / "b").exists()


def test_manifest_and_card_say_what_is_known_and_what_is_not(tmp_path):
    foreign, hints = VARIANTS["a fixed value a row, batches of 1"]
    path = save(foreign, tmp_path)
    manifest = export_foreign(path, tmp_path / "bundle", hints, licence="CC0", attribution="somebody")
    assert manifest == read_manifest(tmp_path / "bundle")
    assert manifest.checkpoint_sha256 == sha256(path)
    assert manifest.opset == OPSET
    assert manifest.spec.provenance.data_licence == "CC0"
    assert manifest.spec.options == {"layout": "NCHW", "opset": 18, "premultiplied": False, "fixed": {"psi": "0.25"}}
    assert "torch" not in manifest.tools
    original = manifest.verification["original"]
    assert (original["batch"], original["values_outside_the_range"]) == (1, 0)
    assert -1 < original["least_value"] < original["largest_value"] < 1
    card = (tmp_path / "bundle" / CARD).read_text()
    assert all(what in card for what in manifest.verification["not_checked"])
    assert "somebody" in card
    assert "the file as it came" in card
    assert str(tmp_path) not in json.dumps(manifest.verification) + card


def test_a_range_that_cuts_much_off_is_in_the_figures(tmp_path):
    manifest = export_foreign(save(Foreign(), tmp_path), tmp_path / "bundle", ImportHints((-0.9, 0.9)))
    assert 0.02 < manifest.verification["original"]["values_outside_the_range"] < 0.25
    assert "cut off" in " ".join(manifest.verification["not_checked"])


def test_what_the_image_does_not_need_is_left_out(tmp_path):
    """Random numbers, a second output and a weight too; what the image needs may come by a name of ours."""
    model = Foreign().model()
    model.graph.node.insert(0, helper.make_node("RandomNormalLike", ["z"], ["truncation"], name="dead"))
    model.graph.output.append(helper.make_tensor_value_info("truncation", TensorProto.FLOAT, ["n", 8]))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1000, np.float32), "image"))
    export_foreign(save(model, tmp_path), tmp_path / "bundle", replace(PLAIN, image="out"))
    graph = onnx.load(tmp_path / "bundle" / GRAPH).graph
    assert "RandomNormalLike" not in {node.op_type for node in graph.node}
    assert 1000 not in {side for weight in graph.initializer for side in weight.dims}


def with_node(op: str, inputs: list[str], before: str = "", **attributes) -> onnx.ModelProto:
    """A graph in which ``op`` makes a value that is added to the latents."""
    model = Foreign().model()
    made = helper.make_node(op, inputs, ["made"], name="culprit", **attributes)
    added = helper.make_node("Add", ["z", "made"], ["both"])
    model.graph.node[0].input[0] = "both"
    model.graph.node.insert(0, added)
    model.graph.node.insert(0, made)
    return model


def random_of_no_shape() -> onnx.ModelProto:
    """As many random numbers as there are latents that are not 0."""
    model = with_node("ReduceMax", ["drawn"], keepdims=0)
    model.graph.node.insert(0, helper.make_node("Bernoulli", ["places"], ["drawn"], name="culprit"))
    model.graph.node.insert(0, helper.make_node("Cast", ["found"], ["places"], to=TensorProto.FLOAT))
    model.graph.node.insert(0, helper.make_node("NonZero", ["z"], ["found"]))
    return model


def branching() -> onnx.ModelProto:
    body = helper.make_graph([], "body", [], [])
    return with_node("If", ["z"], then_branch=body, else_branch=body)


def edited(change, foreign: Foreign = Foreign()) -> onnx.ModelProto:  # noqa: B008 (frozen)
    model = foreign.model()
    change(model.graph)
    return model


def infinite() -> onnx.ModelProto:
    return edited(lambda graph: graph.initializer[2].CopyFrom(numpy_helper.from_array(np.float32("inf"), "half")))


def not_to_be_freed() -> onnx.ModelProto:
    """Made for one latent, whose numbers alone it goes on with."""
    model = Foreign(batch=1).model()
    model.graph.node[0].CopyFrom(helper.make_node("Reshape", ["z", "alone"], ["flat"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([8], np.int64), "alone"))
    return model


def mixing() -> onnx.ModelProto:
    """Each image depends on the others of its batch."""
    model = Foreign().model()
    model.graph.node[0].CopyFrom(helper.make_node("ReduceMean", ["z", "first"], ["mean"], keepdims=1))
    model.graph.node.insert(1, helper.make_node("Sub", ["z", "mean"], ["flat"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    return model


def training(operator: str) -> onnx.ModelProto:
    """As PyTorch writes a network that was not put in evaluation mode."""
    model = Foreign().model()
    if operator == "Dropout":
        made = helper.make_node("Dropout", ["z", "ratio", "train"], ["made"], name="culprit")
        model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "ratio"))
        model.graph.initializer.append(numpy_helper.from_array(np.array(True), "train"))
    else:
        ends = ["one", "nought", "nought", "one"]
        outputs = ["made", "mean", "variance"]
        made = helper.make_node("BatchNormalization", ["z", *ends], outputs, name="culprit", training_mode=1)
        for name, value in (("one", np.ones(8, np.float32)), ("nought", np.zeros(8, np.float32))):
            model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.node[0].input[0] = "made"
    model.graph.node.insert(0, made)
    return model


WRONG = {
    "dropout": (training("Dropout"), PLAIN, "Dropout node 'culprit' is in training mode.*eval"),
    "batch norm": (
        training("BatchNormalization"),
        PLAIN,
        "BatchNormalization node 'culprit' is in training mode.*eval",
    ),
    "random": (random_of_no_shape(), PLAIN, "Bernoulli node 'culprit' draws random"),
    "branch": (branching(), PLAIN, "If node 'culprit' is control flow"),
    "domain": (with_node("Gelu", ["z"], domain="com.microsoft"), PLAIN, "'culprit' is of the domain 'com.microsoft'"),
    "no such operator": (with_node("Frobnicate", ["z"]), PLAIN, "refuses the graph"),
    "no such latent": (Foreign(), replace(PLAIN, latent="w"), "--latent w: .* only 'z' float"),
    "no such image": (Foreign(), replace(PLAIN, image="w"), "--image w: .* only 'out' float"),
    "which latent": (Foreign(psi="one"), PLAIN, "which input is the latent.*'z'.*'psi'"),
    "another input": (Foreign(psi="one"), replace(PLAIN, latent="z"), "what is the input 'psi'.*--fix psi=VALUE"),
    "no such fixed": (Foreign(), replace(PLAIN, fixed={"psi": "1"}), "--fix psi: .* only 'z'"),
    "fixed to a word": (Foreign(psi="one"), replace(FIX, fixed={"psi": "much"}), "no value of the input 'psi'"),
    "fixed to too many": (Foreign(psi="one"), replace(FIX, fixed={"psi": "1,2"}), "no value of the input 'psi'"),
    "no such label": (Foreign(), replace(PLAIN, label="y", latent="z"), "--label y"),
    "label of pixels": (Foreign(psi="one"), replace(PLAIN, label="psi", latent="z"), "--classes a,b,c"),
    "too few classes": (Foreign(label="one-hot"), replace(LABELLED, classes=("a",)), "3 classes, --classes names 1"),
    "too many classes": (
        Foreign(label="number"),
        replace(LABELLED, classes=("a",) * 9),
        "cannot run the graph as it is",
    ),
    "classes of no name": (Foreign(label="number"), replace(LABELLED, classes=()), "--classes a,b,c"),
    "flat latent": (edited(lambda g: g.input[0].type.tensor_type.shape.dim.pop()), PLAIN, "--latent-dim"),
    "wide latent": (Foreign(ones=2), replace(PLAIN, latent_dim=9), "is not 9 long"),
    "nameless sides": (edited(lambda g: g.input[0].type.tensor_type.shape.dim[1].Clear()), PLAIN, "--latent-dim"),
    "whole latent": (edited(lambda g: setattr(g.input[0].type.tensor_type, "elem_type", 7)), PLAIN, "not of floats"),
    "two channels": (Foreign(channels=2), PLAIN, "neither the first nor the last"),
    "either layout": (Foreign(height=3, width=3, channels=3), PLAIN, "--layout"),
    "five channels": (Foreign(channels=5), replace(PLAIN, layout="NCHW"), "1, 3 or 4 channels"),
    "no image": (Foreign(), replace(PLAIN, image="sum"), "--image sum"),
    "too large": (Foreign(height=1, width=2049, channels=1), PLAIN, "1 to 2048 pixels"),
    "infinite": (infinite(), PLAIN, "infinite or not numbers"),
    "one image for all": (mixing(), PLAIN, r"alone against .* \.eval\(\)"),
    "old opset": (Foreign(opset=6), PLAIN, "opset 6"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_said_in_one_line_and_leaves_nothing(case, tmp_path):
    foreign, hints, says = WRONG[case]
    path = save(foreign, tmp_path)
    with pytest.raises(ExportError, match=says) as caught:
        export_foreign(path, tmp_path / "out" / "bundle", hints)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_layout_that_is_told_is_taken(tmp_path):
    path = save(Foreign(height=3, width=3, channels=3, layout="NHWC"), tmp_path)
    hints = replace(PLAIN, layout="NHWC")
    export_foreign(path, tmp_path / "bundle", hints)
    golden = Golden.read(tmp_path / "bundle" / GOLDEN)
    expected = Foreign(height=3, width=3, channels=3, layout="NHWC").values(golden.inputs["z"][:8])
    assert levels_apart(golden.images[:8], np.rint(255 * expected).astype(np.uint8)) <= 1


def test_a_latent_of_a_length_the_graph_does_not_say(tmp_path):
    model = edited(lambda graph: graph.input[0].type.tensor_type.shape.dim[1].Clear())
    manifest = export_foreign(save(model, tmp_path), tmp_path / "bundle", replace(PLAIN, latent_dim=8))
    assert manifest.spec.latent_dim == 8


@pytest.mark.parametrize("text", ["", "1", "1,1", "1,-1", "a,b", "0,1,2", "nan,1", "0;1"])
def test_ranges_that_are_none(text):
    with pytest.raises(ExportError, match="--range"):
        parse_range(text)


def test_what_is_told_in_words():
    assert parse_range("-1,1") == (-1, 1)
    assert parse_range(" 0 , 255") == (0, 255)
    assert parse_classes("cat, dog") == ("cat", "dog")
    assert parse_classes("3") == ("0", "1", "2")
    assert parse_classes("") == ()
    assert parse_fixed(["psi=0.7", "mode=a=b"]) == {"psi": "0.7", "mode": "a=b"}
    for wrong in ("psi", "=1", "psi="):
        with pytest.raises(ExportError, match="NAME=VALUE"):
            parse_fixed([wrong])
    for wrong in ("a,a", "a,,b", ","):
        with pytest.raises(ExportError, match="--classes"):
            parse_classes(wrong)


def test_a_network_of_ours_still_has_a_size_that_doubles():
    spec = tiny_spec("dcgan", (37, 5, 3))
    with pytest.raises(GanfoundryError, match="doubling"):
        lively(spec)


def ganfoundry(*arguments: object):
    return CliRunner().invoke(cli.app, ["export", *map(str, arguments)])


def test_the_command(tmp_path):
    path = save(Foreign(label="one-hot", psi="one"), tmp_path)
    out = ("--out", tmp_path / "bundle")
    hints = ("--range", "-1,1", "--latent", "z", "--image", "out", "--label", "y", "--classes", "cat,dog,newt")
    options = ("--precision", "fp16", "--target", "web")
    done = ganfoundry("--from-onnx", path, *hints, "--fix", "psi=0.25", "--licence", "CC0", *options, *out)
    assert done.exit_code == 0, done.output
    assert "not checked: against PyTorch" in done.output
    assert "of 255 levels of original" in done.output
    assert "fp16: mean" in done.output
    assert "target web: generator.onnx fits" in done.output
    assert read_manifest(tmp_path / "bundle").spec.classes == CLASSES


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("run", "--from-onnx", "x.onnx", "--range", "-1,1"),
        ("--from-onnx", "x.onnx"),
        ("run", "--range", "-1,1"),
        ("run", "--premultiplied"),
        ("--from-onnx", "x.onnx", "--range", "-1,1", "--level", "8"),
        ("--from-onnx", "x.onnx", "--range", "-1,1", "--noise", "input"),
        ("--from-onnx", "x.onnx", "--range", "-1,1", "--layout", "HWCN"),
        ("--from-onnx", "x.onnx", "--range", "-1,1", "--latent-dim", "0"),
        ("--from-onnx", "x.onnx", "--range", "-1,1", "--precision", "int8"),
    ],
)
def test_contradictory_usage_is_status_2(arguments, tmp_path):
    done = ganfoundry(*arguments, "--out", tmp_path / "bundle")
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
