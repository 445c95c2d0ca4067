"""Versions that are set aside, and going back where something is damaged: files alone, no server."""

import pytest

from core.bundle import MANIFEST
from core.errors import RepositoryError
from serving import publishing
from serving.publishing import rollback
from serving.repository.changes import withdraw
from serving.repository.layout import CONFIG
from serving.repository.servable import check_servable
from serving.repository.versions import list_models, versions_of
from tests.serving.conftest import make_bundle, publish


@pytest.fixture
def two(tmp_path, bundle):
    """A generator in two versions, the second with models for thin clients beside it."""
    repository = tmp_path / "repository"
    publish(bundle, "tiny", repository)
    publishing.publish(make_bundle(tmp_path / "other", seed=1), "tiny", repository, trial=False)
    return repository


def test_the_version_before_is_as_if_the_newest_had_not_been(two):
    assert withdraw("tiny", 2, two) == 1
    assert [model.name for model in list_models(two)] == ["tiny"]
    assert (two / "tiny" / ".2.refused" / "model.onnx").is_file()
    check_servable(two)


def test_no_number_is_given_twice(two, bundle):
    withdraw("tiny", 2, two)
    assert publishing.publish(bundle, "tiny", two, trial=False).version == 3
    assert withdraw("tiny", 3, two) == 1
    assert publishing.publish(bundle, "tiny", two, trial=False).version == 4
    assert versions_of(two / "tiny_png") == [2, 4] or versions_of(two / "tiny_png") == [4]
    check_servable(two)


def test_doors_are_those_of_the_version_before_again(two, bundle):
    before = (two / "tiny_png" / CONFIG).read_bytes()
    publish(bundle, "tiny", two)
    assert withdraw("tiny", 3, two) == 2
    assert (two / "tiny_png" / CONFIG).read_bytes() == before
    assert versions_of(two / "tiny_png") == [2]


def test_the_only_version_stays(make_repository):
    repository = make_repository()
    with pytest.raises(RepositoryError, match="'tiny' has no other version"):
        withdraw("tiny", 1, repository)
    assert versions_of(repository / "tiny") == [1]


def test_going_back_where_a_manifest_is_missing_is_said(two):
    (two / "tiny" / "1" / MANIFEST).unlink()
    with pytest.raises(RepositoryError, match=r"tiny/1/manifest.json cannot be read .*: choose a version with --to"):
        rollback("tiny", two, trial=False)
