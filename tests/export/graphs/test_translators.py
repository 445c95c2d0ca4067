"""Every family that translates: it exports, keeps the rules, and makes the same images; and a bundle of one, whole."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from PIL import Image

from core.bundle import CARD, FP16, GOLDEN, GRAPH, INT8, SHEET, read_bundle
from core.checkpoint import load_generator, save_generator
from core.contract import OPSET, SOURCE, sample_inputs
from core.difference import VisibleDifference, levels_apart
from core.errors import ExportError
from core.golden import Golden
from core.networks import TRANSLATORS
from core.onnx.session import open_session, run
from core.seed_sheets import cut
from core.trials import FAR, probe
from export.bundles import exporting
from export.bundles.exporting import DIRECTIONS, export_run
from export.bundles.options import ExportOptions
from export.bundles.verify import verify_bundle
from export.checks.reference import BATCHES, check_against_reference
from export.checks.rules import Contract, broken_rules
from export.precisions import gates
from export.precisions.fp16 import emulate, to_half
from export.precisions.limits import holds
from tests.export.conftest import TRANSLATIONS, ship


@pytest.fixture(params=[(family, what) for family in TRANSLATORS for what in TRANSLATIONS], ids=" ".join)
def shipped(request):
    return ship(*request.param)


def test_keeps_every_rule(shipped):
    graph, model, _ = shipped
    assert list(broken_rules(model, Contract(graph.generator.spec, OPSET))) == []
    assert [node.op_type for node in model.graph.node][:2] == ["Cast", "Transpose"]
    assert {node.op_type for node in model.graph.node}.isdisjoint({"Dropout", "BatchNormalization"})


def test_matches_pytorch_at_every_batch_on_real_and_on_drawn_pictures(shipped):
    graph, _, session = shipped
    for examples in (graph.generator.examples, None):
        figures = check_against_reference(graph.generator.spec, session, graph.images, examples=examples).to_json()
        assert set(figures["onnxruntime_against_pytorch_by_batch"]) == {str(batch) for batch in BATCHES}


def test_the_comparison_is_worth_something(shipped):
    graph, _, session = shipped
    images = run(session, sample_inputs(graph.generator.spec, range(8)))
    assert images.std(axis=0).mean() > 5  # pictures differ
    assert np.ptp(images) > 100


def test_keeps_the_rules_and_its_images_in_fp16(shipped):
    graph, model, session = shipped
    half = to_half(model)
    assert holds(half, "fp16")
    assert list(broken_rules(half, Contract(graph.generator.spec, OPSET))) == []
    first = next(node for node in half.graph.node if SOURCE in node.input)
    assert next(a.i for a in first.attribute if a.name == "to") == onnx.TensorProto.FLOAT  # levels are whole there
    inputs = {name: value[-FAR:] for name, value in probe(graph.generator.spec, graph.generator.examples).items()}
    for images in (run(open_session(half.SerializeToString()), inputs), emulate(half, inputs).images):
        assert VisibleDifference.between(images, run(session, inputs)).mean < 0.25


@pytest.fixture(scope="module")
def whole(translating, tmp_path_factory):
    """A bundle with all that there is but TensorRT's folder. Not to be changed."""
    path = tmp_path_factory.mktemp("exports") / "coloured"
    targets = ("ort", "triton", "trt10", "trt11", "unity", "unity-legacy", "web")
    with pytest.MonkeyPatch.context() as patch:
        model = ship("unet", "RGBA to RGBA").model
        patch.setattr(exporting, "to_onnx", lambda _: onnx.ModelProto.FromString(model.SerializeToString()))
        patch.setitem(gates.LIMITS, "int8", replace(gates.LIMITS["int8"], psnr=20.0))
        export_run(translating, path, options=ExportOptions(("fp16", "int8"), brightness, targets))
    return path


def brightness(spec, make) -> float:
    """Stands in for KID: a figure of images that a poor copy would change."""
    return float(make(sample_inputs(spec, range(4))).mean())


def test_its_golden_images_are_what_pytorch_makes_of_the_sources_that_travel(translating, whole):
    generator = load_generator(translating / "generator.safetensors")
    golden = Golden.read(whole / GOLDEN)
    assert list(golden.inputs) == [SOURCE]
    assert np.array_equal(golden.inputs[SOURCE], generator.examples)
    assert np.array_equal(golden.images, ship("unet", "RGBA to RGBA").graph.images(golden.inputs))


def test_its_sheet_shows_each_source_beside_its_image(whole):
    golden = Golden.read(whole / GOLDEN)
    with Image.open(whole / SHEET) as picture:
        cells, across = cut(picture, 16, 24)
        said = picture.info
    assert (len(cells), across) == (32, 8)
    assert said["Source"] == "trained on sprites, CC0" and said["Trained with inputs"] == "pictures under MIT"
    for row, pictures in enumerate((golden.inputs[SOURCE], golden.images)):
        opaque = pictures[3][..., 3] == 255
        assert np.array_equal(cells[6 + row][opaque], pictures[3][..., :3][opaque])


def test_its_card_says_what_it_takes_and_under_which_licences(whole):
    card = (whole / CARD).read_text()
    assert "RGBA images 16 pixels high, 24 wide, of RGBA pictures 16 pixels high, 24 wide." in card
    assert "| data licence | CC0 |" in card and "| source licence | MIT |" in card
    assert "| source attribution | 0 |" in card  # the data's
    assert "| input | `source` | UINT8 | [N, 16, 24, 4] |" in card
    assert "seed" not in card.replace("ganfoundry_seed", "") and "truncation" not in card


def test_what_the_card_has_people_type_works(whole, tmp_path):
    code = (whole / CARD).read_text().split("```python\n")[1].split("```")[0]
    golden = Golden.read(whole / GOLDEN)
    Image.fromarray(golden.inputs[SOURCE][0], "RGBA").save(tmp_path / "in.png")
    code = code.replace("in.png", str(tmp_path / "in.png")).replace("out.png", str(tmp_path / "out.png"))
    exec(code.replace(GRAPH, str(whole / GRAPH)), {})
    with Image.open(tmp_path / "out.png") as picture:
        assert levels_apart(np.asarray(picture, np.uint8), golden.images[0]) <= 1


def test_verification_replays_every_file_of_it(whole):
    checks = {finding.check: finding.figure for finding in verify_bundle(whole)}
    assert {"fp16", "int8", "golden images", "target unity", "target unity-legacy", "target web"} <= set(checks)
    assert "golden images within" in checks["target unity-legacy"]
    figures = read_bundle(whole).verification
    assert {FP16, INT8} <= set(read_bundle(whole).files)
    assert figures["targets"]["unity"]["takes"] == "source FP32 [N, C, H, W], 0 to 1, straight alpha"


def test_unity_is_given_a_source_of_floats_with_channels_first(whole):
    graph = onnx.load(whole / "targets" / "unity" / "generator.onnx").graph
    (source,) = graph.input
    sides = [side.dim_param or side.dim_value for side in source.type.tensor_type.shape.dim]
    assert (source.type.tensor_type.elem_type, sides) == (onnx.TensorProto.FLOAT, ["batch", 4, 16, 24])
    assert graph.node[0].op_type == "Mul" and "Transpose" not in {node.op_type for node in graph.node}


@pytest.fixture
def both(translating, tmp_path):
    """A run that learned two directions."""
    generator = load_generator(translating / "generator.safetensors")
    save_generator(tmp_path / DIRECTIONS["a2b"], generator)
    save_generator(tmp_path / DIRECTIONS["b2a"], generator, generator.spec.with_provenance(data_name="the other way"))
    return tmp_path


def test_either_direction_of_a_run_is_exported(both, monkeypatch):
    chosen = []
    monkeypatch.setattr(exporting, "load_generator", lambda path: chosen.append(path.name) or stop())
    for direction in (None, "a2b", "b2a"):
        with pytest.raises(StopIteration):
            export_run(both, both / "out", direction=direction)
    assert chosen == [DIRECTIONS["a2b"], DIRECTIONS["a2b"], DIRECTIONS["b2a"]]


def stop():
    raise StopIteration


def test_a_direction_that_is_not_there_is_refused_in_words(both, run, tmp_path):
    for source, direction, says in (
        (both, "c2d", "there is no direction 'c2d': choose from a2b, b2a"),
        (run, "a2b", "makes images of latents, in no direction: omit --direction"),
        (both / DIRECTIONS["b2a"], "b2a", "is one generator, of one direction: name its run"),
    ):
        with pytest.raises(ExportError, match=says):
            export_run(source, tmp_path / "out", direction=direction)
    (both / DIRECTIONS["b2a"]).unlink()
    with pytest.raises(ExportError, match="learned one direction, a2b, from sources to images: omit --direction"):
        export_run(both, tmp_path / "out", direction="b2a")
