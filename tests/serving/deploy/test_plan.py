from pathlib import Path

import pytest

from core.errors import DeployError, RepositoryError
from serving.deploy.plan import IMAGE, Deployment, plan
from tests.serving.deploy.conftest import DIGEST, MODELS


def make(**changes) -> Deployment:
    return Deployment(**{"model": "sprites", "version": 3, "models": ("sprites",), "repository": ".."} | changes)


def test_everything_that_belongs_to_a_model_comes_along_and_nothing_else(planned):
    assert planned.models == MODELS
    assert (planned.version, planned.release) == (2, "v2")


def test_the_way_to_the_repository_starts_where_the_manifests_are(repository, tmp_path):
    out = repository.parent / "deploy" / "sprites"
    assert plan("sprites", repository, out).repository == "../../model_repository"
    assert plan("sprites", repository, repository.parent).repository == "model_repository"


def test_an_unknown_name_is_answered_with_those_there_are_the_nearest_first(repository):
    with pytest.raises(DeployError, match=r"no model 'sprite': it has sprites, .*other"):
        plan("sprite", repository, Path("out"))


def test_a_part_is_not_deployed_without_its_whole(repository):
    with pytest.raises(DeployError, match="'sprites_mapping' is a part of 'sprites'"):
        plan("sprites_mapping", repository, Path("out"))


def test_a_repository_that_cannot_be_served_cannot_be_deployed(tmp_path, make_repository):
    with pytest.raises(RepositoryError, match="no models"):
        plan("sprites", tmp_path / "nowhere", Path("out"))
    repository = make_repository()
    (repository / "broken").mkdir()
    with pytest.raises(RepositoryError, match="not a model Triton can load"):
        plan("tiny", repository, Path("out"))


@pytest.mark.parametrize(
    ("model", "name"), [("sprites", "sprites"), ("Cat_Sprites.v2", "cat-sprites-v2"), ("a__b--c", "a-b-c")]
)
def test_a_model_gets_a_name_that_kubernetes_can_spell(model, name):
    assert make(model=model).name == name


@pytest.mark.parametrize("model", ["3d", "_", "s" * 41])
def test_a_name_kubernetes_has_no_like_of_is_refused(model):
    with pytest.raises(DeployError, match="publish it under a name"):
        make(model=model)


@pytest.mark.parametrize(
    "image", ["tritonserver", "tritonserver:26.06-py3", f"{DIGEST}", f"a b@{DIGEST}", "a@sha256:1f"]
)
def test_an_image_that_could_change_under_its_name_is_refused(image):
    with pytest.raises(DeployError, match="--image"):
        make(image=image)


def test_ours_says_the_release_and_leaves_the_digest_to_whoever_deploys():
    assert make().image == IMAGE == "nvcr.io/nvidia/tritonserver:26.06-py3@sha256:<digest>"
    assert make(image=f"tritonserver@{DIGEST}").image.endswith(DIGEST)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"replicas": 1}, "--replicas"),
        ({"replicas": 4, "max_replicas": 3}, "--max-replicas"),
        ({"gpus": -1}, "--gpus"),
        ({"cpus": 0}, "--cpus"),
        ({"memory": 0}, "--memory"),
        ({"prometheus_namespace": "not one"}, "--prometheus-namespace"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_their_flag(sizes, said):
    with pytest.raises(DeployError, match=said):
        make(**sizes)
