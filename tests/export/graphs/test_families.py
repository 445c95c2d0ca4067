"""Every family, three sizes: it exports, keeps the rules, and makes the same images afterwards."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from core.contract import OPSET, sample_inputs
from core.difference import MOST_LEVELS, levels_apart
from core.networks import GENERATORS
from core.onnx.session import open_session, run
from export.checks.reference import BATCHES, check_against_reference
from export.checks.rules import Contract, broken_rules
from export.graphs.convert import to_onnx
from export.graphs.modules import ExportGraph
from tests.export.conftest import SIZES, family_spec, lively, ship, tiny_spec


@pytest.fixture(params=[(f, s) for f in GENERATORS for s in SIZES], ids=" ".join)
def shipped(request):
    return ship(*request.param)


def test_keeps_every_rule(shipped):
    graph, model, _ = shipped
    assert list(broken_rules(model, Contract(graph.generator.spec, OPSET))) == []


def test_matches_pytorch_at_every_batch(shipped):
    graph, _, session = shipped
    figures = check_against_reference(graph.generator.spec, session, graph.images).to_json()
    assert set(figures["onnxruntime_against_pytorch_by_batch"]) == {str(batch) for batch in BATCHES}


def test_the_comparison_is_worth_something(shipped):
    graph, _, session = shipped
    images = run(session, sample_inputs(graph.generator.spec, range(8)))
    assert images.std(axis=0).mean() > 5  # seeds differ
    assert np.ptp(images) > 100


def test_truncation_0_is_the_mean_image_for_every_row(shipped):
    graph, _, session = shipped
    inputs = sample_inputs(graph.generator.spec, range(5), truncation=0.0)
    for name in {"label", "codes"} & set(inputs):  # which choose among mean images
        inputs[name][:] = inputs[name][0]
    images = run(session, inputs)
    assert all(levels_apart(row, images[0]) <= MOST_LEVELS for row in images)


def test_truncation_is_by_row(shipped):
    graph, _, session = shipped
    inputs = sample_inputs(graph.generator.spec, range(4))
    full = run(session, inputs)
    inputs["truncation"][1] = 0
    mixed = run(session, inputs)
    assert levels_apart(mixed[[0, 2, 3]], full[[0, 2, 3]]) <= MOST_LEVELS
    assert levels_apart(mixed[1], full[1]) > 10


def test_nothing_of_this_machine_is_inside(shipped):
    model = onnx.ModelProto.FromString(shipped[1].SerializeToString())
    for weight in model.graph.initializer:
        weight.ClearField("raw_data")  # where any three bytes come up sooner or later
    text = model.SerializeToString()
    for trace in (b".py", b"site-packages", b"/home", b"/tmp", b"stack_trace", b"torch"):
        assert trace not in text


@pytest.mark.parametrize("family", GENERATORS)
def test_labels_and_codes_are_inputs_where_the_spec_has_them(family):
    inputs = {size: [value.name for value in ship(family, size).model.graph.input] for size in SIZES}
    assert inputs.pop("tall RGB") == ["z", "truncation", "label", "codes"]
    assert list(inputs.values()) == [["z", "truncation"]] * 2


def test_codes_without_labels():
    spec = tiny_spec("dcgan", SIZES["grey from 7"], codes=3)
    model = to_onnx(ExportGraph(lively(spec)))
    assert list(broken_rules(model, Contract(spec, OPSET))) == []


def test_another_value_range():
    spec = replace(tiny_spec("dcgan", SIZES["tall RGB"]), value_range=(0.0, 1.0))
    graph = ExportGraph(lively(spec))
    figures = check_against_reference(spec, open_session(to_onnx(graph).SerializeToString()), graph.images)
    assert figures.two_runs_identical


@pytest.mark.parametrize("family", ["dcgan", "style"])  # one that is plain, and the one with the most rewrites
def test_the_same_network_gives_the_same_bytes(family, traced_anew):
    generator = lively(family_spec(family, "grey from 7"))
    first, again = (to_onnx(ExportGraph(generator)).SerializeToString(deterministic=True) for _ in range(2))
    assert first == again


def test_one_file_passes_the_checker_by_itself(shipped, tmp_path):
    onnx.save(shipped[1], tmp_path / "graph.onnx")
    onnx.checker.check_model(tmp_path / "graph.onnx", full_check=True)
    assert [p.name for p in tmp_path.iterdir()] == ["graph.onnx"]
