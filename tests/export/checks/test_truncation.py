"""Truncation is tried at 0, 0.5 and 1 before a bundle promises it, of our own families too."""

import numpy as np
import onnx
import pytest

from core.bundle import CARD, GRAPH
from core.checkpoint import save_generator
from core.contract import sample_inputs
from core.onnx.session import open_session, run
from export.bundles.exporting import export_run
from export.bundles.verify import verify_bundle
from export.checks.reference import truncation_note
from tests.export.conftest import SIZES, lively, tiny_spec

MADE = np.random.RandomState(0).standard_normal((3, 4, 3, 5, 5)).astype(np.float32)


def test_what_is_said_of_values_at_0_0_5_and_1():
    assert truncation_note(MADE) is None
    assert "changes nothing" in truncation_note([MADE[0], MADE[1], MADE[1]])
    broken = MADE.copy()
    broken[0, 2, 1, 3, 3] = np.nan
    assert "not numbers" in truncation_note(broken)


def whole(z, *_):
    """A latent of length 1, whatever it was, and nothing at all of 0."""
    return z / z.square().sum(dim=1, keepdim=True).sqrt()


@pytest.mark.parametrize("family", ["progressive", "dcgan, NaN at 0"])
def test_a_family_that_scales_its_own_latents_promises_nothing(family, tmp_path, monkeypatch):
    generator = lively(tiny_spec(family.partition(",")[0], SIZES["grey from 7"]))
    if "NaN" in family:
        family_class = type(generator)
        plain = family_class.synthesis
        monkeypatch.setattr(family_class, "synthesis", lambda self, z, *more: plain(self, whole(z), *more))
    save_generator(tmp_path / "generator.safetensors", generator)
    manifest = export_run(tmp_path / "generator.safetensors", tmp_path / "bundle")
    (note,) = manifest.verification["notes"]
    assert note.startswith("truncation")
    card = (tmp_path / "bundle" / CARD).read_text("utf-8")
    assert "ignored: this generator has no truncation" in card
    assert "towards 0" not in card

    session = open_session((tmp_path / "bundle" / GRAPH).read_bytes())
    at = [run(session, sample_inputs(manifest.spec, range(3), truncation)) for truncation in (0, 0.5, 1)]
    assert np.array_equal(at[0], at[2])
    assert np.array_equal(at[1], at[2])
    assert len(np.unique(at[2])) > 20
    names = [value.name for value in onnx.load(tmp_path / "bundle" / GRAPH).graph.input]
    assert names == ["z", "truncation"]
    verify_bundle(tmp_path / "bundle")


def test_a_family_that_keeps_it_says_what_it_does(exported):
    assert "nearer the mean image" in (exported / CARD).read_text("utf-8")
