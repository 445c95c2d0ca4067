"""How much shared memory is reckoned with, against what a real Triton takes."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from serving import publishing
from serving.client import Sampler
from serving.config import Instances, ModelConfig, Tensor
from serving.launching import HOST, Access, free_ports
from serving.repository import list_models, read_config
from serving.server import Server
from serving.shm import MIB, shared_memory_bytes
from serving.triton import find_triton
from serving.workplace import SHARED_MEMORY, make_workplace, remove_workplace
from tests.serving.conftest import SPEC, make_bundle

GENERATOR = ModelConfig(
    "large", (Tensor("z", "FP32", (8,)),), (Tensor("image", "UINT8", (512, 512, 4)),), instances=Instances(count=2)
)


def test_a_generator_takes_a_largest_batch_for_each_instance_and_version():
    assert shared_memory_bytes([GENERATOR]) == 2 * (64 * (512 * 512 * 4 + 32) + 4 * MIB)
    both = replace(GENERATOR, versions=2)
    assert shared_memory_bytes([both]) == 2 * shared_memory_bytes([GENERATOR]) > 256 * MIB
    assert shared_memory_bytes([both, GENERATOR]) == 3 * shared_memory_bytes([GENERATOR])
    assert shared_memory_bytes([GENERATOR], devices=3) == 3 * shared_memory_bytes([GENERATOR])


def test_a_picture_file_may_be_as_large_as_its_picture_and_ensembles_take_nothing():
    image, png = Tensor("image", "UINT8", (64, 64, 4)), Tensor("png", "STRING", (1,))
    encoder = ModelConfig("m_encoder", (image,), (png,), backend="python", max_batch_size=8)
    assert shared_memory_bytes([encoder]) == 4 * MIB + 8 * 2 * 64 * 64 * 4
    assert shared_memory_bytes([replace(encoder, backend="ensemble", instances=None)]) == 0
    loose = ModelConfig("loose", (Tensor("rows", "FP32", (-1,)),), (image,), max_batch_size=0, instances=None)
    assert shared_memory_bytes([loose]) == 4 * MIB + 4 + 64 * 64 * 4


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "large", replace(SPEC, height=192, width=192))


def test_a_real_triton_takes_hardly_less_and_never_more(large, tmp_path):
    """Every model is warmed up at its largest batch; the picture is noise, which no PNG makes smaller."""
    repository = tmp_path / "repository"
    publishing.publish(large, "large", repository)
    reckoned = shared_memory_bytes(read_config(model.path) for model in list_models(repository))
    ports, workplace = free_ports(), make_workplace(find_triton())
    server = Server(find_triton(), repository, ports, Access(), "", workplace)
    try:
        assert server.wait_until_right(120, threading.Event())
        with Sampler("large", f"{HOST}:{ports.grpc}") as sampler:
            assert len(list(sampler.sample(range(200)))) == 200
        taken = sum(path.stat().st_size for path in SHARED_MEMORY.glob(f"{workplace.shm_prefix}*"))
    finally:
        server.end(0)
        remove_workplace(workplace)
    versions = 2  # are reckoned with, and one is there
    assert 0.5 * reckoned / versions < taken < reckoned / versions
