"""Bundles of another shape under the name of a model that is there: refused, in words of what a person sees."""

from dataclasses import replace

import pytest

from core.errors import RepositoryError
from tests.serving.conftest import CLASSES, SPEC, make_bundle, publish


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"width": 16}, "this bundle makes RGBA images of 16x8, and 'tiny' makes RGBA images of 12x8"),
        ({"channels": 3}, "this bundle makes RGB images of 12x8, and 'tiny' makes RGBA images of 12x8"),
        ({"classes": CLASSES}, "this bundle has classes, and 'tiny' has no classes"),
        (
            {"codes": 2, "latent_dim": 4},
            "this bundle takes 4 latent values and takes 2 codes, and 'tiny' takes 8 latent values and takes 0 codes",
        ),
    ],
)
def test_another_shape_is_said_and_nothing_is_published(make_repository, tmp_path, change, says):
    repository = make_repository()
    before = sorted(repository.rglob("*"))
    with pytest.raises(RepositoryError) as raised:
        publish(make_bundle(tmp_path / "other", replace(SPEC, **change)), "tiny", repository)
    assert str(raised.value) == f"{says}: publish it under another --name"
    assert sorted(repository.rglob("*")) == before


def test_other_classes_are_another_version(labelled_bundle, tmp_path):
    repository = tmp_path / "repository"
    publish(labelled_bundle, "animals", repository)
    other = make_bundle(tmp_path / "more", replace(SPEC, classes=(*CLASSES, "cow")))
    assert publish(other, "animals", repository).version == 2
