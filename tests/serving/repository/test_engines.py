"""One repository, every engine: what the configurations beside ``config.pbtxt`` say, and that a server takes them."""

from dataclasses import fields, replace

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig as Message

from core.difference import MOST_LEVELS, levels_apart
from serving import publishing
from serving.client.sampler import Sampler
from serving.protocol.model_config import Accelerator, Instances, ModelConfig, Queue, Tensor
from serving.protocol.pbtxt import parse
from serving.repository.configs import read_config
from serving.repository.engines import engines_of
from serving.repository.layout import CONFIG
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from tests.serving.conftest import SPEC, make_bundle, make_style_bundle

# What each engine may say in its own way; all else is the same model.
MAY_DIFFER = {
    "limited": {"instances", "queue"},
    "cpu": {"instances", "accelerator"},
    "ort_trt": {"instances", "accelerator"},
    "tensorrt": {"instances", "accelerator", "backend", "filename"},
}
MAY_DIFFER_IN_TEXT = {"dynamic_batching", "instance_group", "optimization", "backend", "default_model_filename"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    bundles, repository = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("engines") / "repository"
    publishing.publish(make_bundle(bundles / "tiny"), "tiny", repository, trial=False)
    publishing.publish(make_style_bundle(bundles / "styled"), "styled", repository, thin=False, trial=False)
    return repository


def engines(model):
    return {path.stem: path for path in (model / "configs").glob("*.pbtxt")}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("tiny", {"limited", "cpu", "ort_trt", "tensorrt"}),
        ("styled", {"limited", "cpu", "ort_trt", "tensorrt"}),
        ("styled_mapping", {"limited", "cpu", "ort_trt"}),  # a bundle builds no plan of its parts
        ("styled_synthesis", {"limited", "cpu", "ort_trt"}),
    ],
)
def test_engines_differ_in_what_runs_the_model_and_in_nothing_else(repository, model, expected):
    usual, found = read_config(repository / model), engines(repository / model)
    assert set(found) == expected
    for name, path in found.items():
        other = parse(path.read_text())
        differing = {f.name for f in fields(usual) if getattr(usual, f.name) != getattr(other, f.name)}
        assert differing <= MAY_DIFFER[name]
        ours, theirs = (text_format.Parse(each.read_text(), Message()) for each in (repository / model / CONFIG, path))
        for message in (ours, theirs):  # by Triton's own words too, lest a field is one that we do not know
            for field in MAY_DIFFER_IN_TEXT:
                message.ClearField(field)
        assert ours == theirs


def test_what_runs_where(repository):
    found = {name: parse(path.read_text()) for name, path in engines(repository / "tiny").items()}
    assert read_config(repository / "tiny").instances.kind == "KIND_AUTO"
    assert {name: config.instances.kind for name, config in found.items()} == {
        "limited": "KIND_AUTO",
        "cpu": "KIND_CPU",
        "ort_trt": "KIND_GPU",
        "tensorrt": "KIND_GPU",
    }
    assert found["tensorrt"].instances.profiles == ("0", "1")
    parameters = found["ort_trt"].accelerator.parameters
    most = found["ort_trt"].max_batch_size
    assert parameters["trt_profile_min_shapes"] == "z:1x8,truncation:1x1"
    assert parameters["trt_profile_max_shapes"] == f"z:{most}x8,truncation:{most}x1"


def test_settings_of_this_machine_are_those_of_every_engine(repository):
    mine = Queue(delay_us=77, size=5, preferred=(4,))
    set_here = replace(read_config(repository / "tiny"), max_batch_size=9, queue=mine)
    for config in engines_of(set_here, plan=True).values():
        assert (config.max_batch_size, config.queue) == (9, set_here.queue)


CACHE = "/tmp/ganfoundry-engines"
USUAL = ModelConfig(
    "tiny",
    (Tensor("z", "FP32", (8,)), Tensor("w", "FP32", (6, 5))),
    (Tensor("image", "UINT8", (8, 12, 4)),),
    instances=Instances(count=2),
    accelerator=Accelerator("cuda", {"use_tf32": "0"}),
)


@pytest.mark.parametrize(("most", "usual"), [(64, 16), (16, 16), (4, 4)])
def test_every_engine_by_hand(most, usual):
    config = replace(USUAL, max_batch_size=most)
    inside = {
        "precision_mode": "FP32",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": CACHE,
        "trt_engine_cache_prefix": "tiny",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": CACHE,
        "trt_profile_min_shapes": "z:1x8,w:1x6x5",
        "trt_profile_opt_shapes": f"z:{usual}x8,w:{usual}x6x5",
        "trt_profile_max_shapes": f"z:{most}x8,w:{most}x6x5",
    }
    cpu = replace(config, instances=Instances("KIND_CPU", 2), accelerator=None)
    gpu = replace(config, instances=Instances("KIND_GPU", 2), accelerator=Accelerator("tensorrt", inside))
    plan = replace(
        config,
        backend="tensorrt",
        filename="model.plan",
        accelerator=None,
        instances=Instances("KIND_GPU", 2, ("0", "1")),
    )
    assert engines_of(config, plan=False) == {"limited": config, "cpu": cpu, "ort_trt": gpu}
    assert engines_of(config, plan=True) == {"limited": config, "cpu": cpu, "ort_trt": gpu, "tensorrt": plan}


@pytest.mark.parametrize(
    ("queue", "limited"),
    [
        (Queue(7, 0, 0, (4,)), Queue(7, 128, 10_000_000, (4,))),
        (Queue(7, 3, 0), Queue(7, 3, 0)),
        (Queue(7, 0, 5), Queue(7, 0, 5)),
        (None, Queue(0, 128, 10_000_000)),
    ],
)
@pytest.mark.parametrize(("count", "counted"), [(1, 2), (2, 2), (5, 5)])
def test_limits_take_two_instances(queue, limited, count, counted):
    config = replace(USUAL, queue=queue, instances=Instances("KIND_CPU", count))
    found = engines_of(config, plan=False)["limited"]
    assert found == replace(config, queue=limited, instances=Instances("KIND_CPU", counted))


def test_a_model_without_instances_of_its_own_has_one_on_every_engine():
    found = engines_of(replace(USUAL, instances=None), plan=True)
    assert {name: config.instances.count for name, config in found.items()} == {
        "limited": 2,
        "cpu": 1,
        "ort_trt": 1,
        "tensorrt": 1,
    }


def test_a_server_takes_the_engine_it_is_given(repository):
    with Supervisor(repository, free_ports(), engine="cpu") as server, Sampler("tiny", server.url) as sampler:
        images = [image for _, image in sampler.sample([1, 2])]
    with Supervisor(repository, free_ports()) as server, Sampler("tiny", server.url) as sampler:
        assert sampler.spec == SPEC
        assert all(levels_apart(a, b) <= MOST_LEVELS for a, (_, b) in zip(images, sampler.sample([1, 2]), strict=True))
