"""Generators that have not finished growing: what ships is the level they are at, and nothing of the others."""

import pytest

from core.networks import build_generator
from core.networks.progressive import LEVEL, at_level
from export.convert import to_onnx
from export.graph import ExportGraph
from export.runtime import open_session
from export.trial import stand_trial
from tests.export.conftest import SIZES, lively, tiny_spec


@pytest.mark.parametrize(
    ("growth", "blocks", "images"), [(0, 0, 1), (LEVEL, 1, 1), (LEVEL + LEVEL // 4, 2, 2), (3 * LEVEL, 3, 1)]
)
def test_other_levels_are_not_in_the_graph(growth, blocks, images):
    generator = lively(tiny_spec("progressive", SIZES["square RGBA"]))
    generator.grow(growth)
    graph = ExportGraph(generator)
    model = to_onnx(graph)
    assert [node.op_type for node in model.graph.node].count("Conv") == 1 + 2 * blocks + images
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used
    stand_trial(generator.spec, open_session(model.SerializeToString()), graph.images)


def test_a_finished_level_exports_at_its_own_size():
    generator = lively(tiny_spec("progressive", SIZES["tall RGB"]))
    generator.grow(2 * LEVEL)
    spec, weights = at_level(generator.spec, generator.state_dict(), 2)
    smaller = build_generator(spec)
    smaller.load_state_dict(weights)
    graph = ExportGraph(smaller)
    model = to_onnx(graph)
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim][1:] == [24, 16, 3]
    stand_trial(spec, open_session(model.SerializeToString()), graph.images)
