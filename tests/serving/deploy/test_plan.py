from pathlib import Path

import pytest

from core.errors import DeployError, RepositoryError
from serving.deploy.plan import IMAGE, Deployment, plan
from serving.protocol.pbtxt import parse_lenient
from serving.server.shared_memory import shared_memory_bytes
from tests.serving.deploy.conftest import DIGEST, MODELS


def make(**changes) -> Deployment:
    return Deployment(**{"model": "sprites", "version": 3, "models": ("sprites",), "places": ("../sprites",)} | changes)


def test_everything_that_belongs_to_a_model_comes_along_and_nothing_else(planned):
    assert planned.models == MODELS
    assert (planned.version, planned.release) == (2, "v2")


def test_the_ways_to_the_models_start_where_the_manifests_are(repository):
    out = repository.parent / "deploy" / "sprites"
    assert plan("sprites", repository, out).places == tuple(f"../../model_repository/{model}" for model in MODELS)
    assert plan("sprites", repository, repository.parent).places[0] == "model_repository/sprites"


def test_links_on_the_way_are_followed(repository, tmp_path):
    """``..`` of a linked folder is not the folder that holds the link."""
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "far" / "away")
    (tmp_path / "models").symlink_to(repository)
    for place in plan("sprites", tmp_path / "models", tmp_path / "out").places:
        assert (tmp_path / "far" / "away" / place).resolve().parent == repository.resolve()


def test_a_model_that_is_a_link_is_mounted_from_where_it_lies(tmp_path, make_repository):
    repository = make_repository()
    (repository / "tiny").rename(tmp_path / "elsewhere")
    (repository / "tiny").symlink_to(tmp_path / "elsewhere")
    assert plan("tiny", repository, tmp_path / "out").places == ("../elsewhere",)


def test_files_that_a_container_would_not_see_are_named(tmp_path, make_repository):
    graph = make_repository() / "tiny" / "1" / "model.onnx"
    graph.rename(tmp_path / "model.onnx")
    graph.symlink_to(tmp_path / "model.onnx")
    with pytest.raises(DeployError, match=r"1/model\.onnx is a link"):
        plan("tiny", tmp_path / "repository", tmp_path / "out")


def config_of(model: Path) -> Path:
    limited = model / "configs" / "limited.pbtxt"
    return limited if limited.exists() else model / "config.pbtxt"


def test_memory_is_reckoned_with_for_every_model_and_gpu(repository, planned):
    configs = [parse_lenient(served.read_text()) for served in map(config_of, map(repository.joinpath, MODELS))]
    assert planned.shared_memory == max(-(-shared_memory_bytes(configs) // 2**20), 64), "never less than Docker gives"
    assert planned.instances == 2 * 2 * 3 + 1, "three models with two instances of two versions each, and the helper"
    three = plan("sprites", repository, Path("out"), image=IMAGE, gpus=3)
    assert (three.shared_memory, three.instances) == (-(-shared_memory_bytes(configs, 3) // 2**20), 3 * 13)


def test_servers_are_not_given_less_memory_than_the_models_share(repository):
    assert make(shared_memory=1024, memory=2).memory == 2
    with pytest.raises(DeployError, match=r"1025 MiB of shared memory.* --memory 3 or more.*max_batch_size"):
        make(shared_memory=1025, memory=2)


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
    ("model", "name"),
    [
        ("sprites", "sprites"),
        ("cat-2", "cat-2"),
        ("Cat_Sprites.v2", "cat-sprites-v2-c0384f"),
        ("a__b--c", "a-b-c-c42ab5"),
    ],
)
def test_a_model_gets_a_name_that_kubernetes_can_spell(model, name):
    assert make(model=model).name == name


def test_no_two_models_get_one_name():
    """They would replace one another in a cluster."""
    models = ["my-sprites", "my_sprites", "my.sprites", "My-Sprites", "my--sprites", "my-sprites-", "my-.sprites"]
    assert len({make(model=model).name for model in models}) == len(models)


@pytest.mark.parametrize("model", ["3d", "_", "s" * 41, "s_" * 20])
def test_a_name_kubernetes_has_no_like_of_is_refused(model):
    with pytest.raises(DeployError, match="publish it under a name"):
        make(model=model)


@pytest.mark.parametrize(
    "image", ["tritonserver", "tritonserver:26.11-py3", f"{DIGEST}", f"a b@{DIGEST}", "a@sha256:1f"]
)
def test_an_image_that_could_change_under_its_name_is_refused(image):
    with pytest.raises(DeployError, match="--image"):
        make(image=image)


@pytest.mark.parametrize("release", ["26.07", "26.06", "24.10", "9.12"])
def test_an_image_with_the_known_stall_is_refused_with_the_reason(release):
    image = f"nvcr.io/nvidia/tritonserver:{release:0>5}-py3@{DIGEST}"
    with pytest.raises(DeployError, match=r"older than 26\.08.*8870.*take 26\.11"):
        make(image=image)


@pytest.mark.parametrize(
    "name", ["nvcr.io/nvidia/tritonserver:26.08-py3", "mine:27.01", "here:5000/triton", "triton:2026.07.1", "t:v3"]
)
def test_newer_images_and_those_without_a_release_are_taken(name):
    assert make(image=f"{name}@{DIGEST}").image.startswith(name)


def test_ours_says_the_release_and_leaves_the_digest_to_whoever_deploys():
    assert make().image == IMAGE == "nvcr.io/nvidia/tritonserver:26.11-py3@sha256:<digest>"
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
        ({"storage_class": "not one"}, "--storage-class"),
        ({"storage_class": "efs", "source": "s3://models"}, "--storage-class"),
        ({"source": "https://models.example"}, "--source.*s3://"),
        ({"source": "s3://Models"}, "--source"),
        ({"source": "oci://models:1"}, "--source.*sha256"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_their_flag(sizes, said):
    with pytest.raises(DeployError, match=said):
        make(**sizes)
