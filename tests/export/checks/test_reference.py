"""The trial, with networks that are a line of numpy: what it tries, and at what it stops."""

import numpy as np
import pytest

from core.contract import sample_inputs
from core.errors import ExportError
from core.spec import GeneratorSpec
from export.checks.reference import check_against_reference

SPEC = GeneratorSpec("tiny", 2, 3, 1, latent_dim=4)


def images_of(inputs):
    """A level between 10 and 240 for each pixel, from z and truncation."""
    values = np.tanh((inputs["z"] * inputs["truncation"]).sum(axis=1, dtype=np.float64)) * 100 + 125
    return np.repeat(np.round(values), 6).reshape(-1, 2, 3, 1).astype(np.uint8)


class Network:
    """Stands in for ONNX Runtime; ``spoil(images, call)`` has the last word. ``asked`` is what it was asked."""

    def __init__(self, spoil=lambda images, call: images):
        self.spoil, self.asked = spoil, []

    def run(self, outputs, inputs):
        assert outputs == ["image"]
        self.asked.append(inputs)
        return [self.spoil(images_of(inputs), len(self.asked))]

    def get_providers(self):
        return ["Fake", "CPU"]


def brighter(levels, when):
    """Add ``levels`` to the first pixel of the first image in those calls."""

    def spoil(images, call):
        if when(images, call):
            images = images.copy()
            images[0, 0, 0, 0] += levels
        return images

    return spoil


def test_a_network_that_is_right_in_every_way():
    network = Network()
    same = {"levels": 0, "pixels": 0.0}
    assert check_against_reference(SPEC, network, images_of).to_json() == {
        "most_levels_allowed": 1,
        "onnxruntime_against_pytorch_by_batch": dict.fromkeys(("1", "2", "3", "8", "17"), same),
        "row_alone_against_row_in_batch": same,
        "two_runs_identical": True,
        "onnxruntime_providers": ["Fake", "CPU"],
    }
    assert "onnxruntime_against_jax_by_batch" in check_against_reference(SPEC, network, images_of, "JAX").to_json()


def test_every_comparison_sees_seeds_of_its_own_and_both_truncations():
    network = Network()
    check_against_reference(SPEC, network, images_of)
    against, mixed, again, *alone = (network.asked[:10], network.asked[10], network.asked[11], *network.asked[12:])
    expected = [(100 * batch + 50 * step, batch, 1 - 0.5 * step) for batch in (1, 2, 3, 8, 17) for step in range(2)]
    for asked, (first, batch, truncation) in zip(against, expected, strict=True):
        wanted = sample_inputs(SPEC, range(first, first + batch), truncation)
        assert all(np.array_equal(asked[name], wanted[name]) for name in wanted)
    for asked in (mixed, again):
        assert np.array_equal(asked["z"], sample_inputs(SPEC, range(5000, 5017))["z"])
        assert asked["truncation"].dtype == np.float32
        assert asked["truncation"].tolist() == [[row / 16] for row in range(17)]
    assert len(alone) == 17
    assert np.array_equal(np.concatenate([asked["z"] for asked in alone]), mixed["z"])


def test_figures_are_the_most_levels_and_the_mean_share_of_pixels():
    """At batch 2 the second comparison has 1 of 12 pixels off; alone, the first of 17 images has one of its 6."""
    figures = check_against_reference(
        SPEC, Network(brighter(1, lambda images, call: call in (4, 13))), images_of
    ).to_json()
    by_batch = figures["onnxruntime_against_pytorch_by_batch"]
    assert by_batch.pop("2") == {"levels": 1, "pixels": pytest.approx(1 / 24)}
    assert set(map(str, by_batch.values())) == {str({"levels": 0, "pixels": 0.0})}
    assert figures["row_alone_against_row_in_batch"] == {"levels": 1, "pixels": pytest.approx(1 / 102)}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (1, r"ONNX Runtime against PyTorch at batch 1, truncation 1.0: up to 2 of 255 levels apart \(16.67%"),
        (10, r"ONNX Runtime against PyTorch at batch 17, truncation 0.5: up to 2 of 255"),
        (12, r"two runs .* differ"),
        (29, r"an image alone against the same image in a batch: up to 2 of 255"),
    ],
)
def test_two_levels_are_too_many_wherever_they_are(call, says):
    with pytest.raises(ExportError, match=says):
        check_against_reference(SPEC, Network(brighter(2, lambda images, now: now == call)), images_of)


def test_two_runs_may_not_differ_by_a_single_level():
    with pytest.raises(ExportError, match="draws random numbers"):
        check_against_reference(SPEC, Network(brighter(1, lambda images, call: call == 12)), images_of)


def test_images_of_another_size_are_refused():
    with pytest.raises(ExportError, match=r"batch 1, .* images \(1, 2, 2, 1\) instead of \(1, 2, 3, 1\)"):
        check_against_reference(SPEC, Network(lambda images, call: images[:, :, :2]), images_of)


def test_advice_is_that_of_the_cause_where_one_is_known():
    off = Network(brighter(2, lambda images, now: now == 1))
    with pytest.raises(ExportError, match=r"nothing was exported; export it with opset 18$"):
        check_against_reference(SPEC, off, images_of, advice="export it with opset 18")
    alone = Network(brighter(2, lambda images, now: now == 29))
    with pytest.raises(ExportError, match=r"depends on those beside it.*\.eval\(\)"):
        check_against_reference(SPEC, alone, images_of)
