"""How much shared memory models take, by a real Triton; what lacks it is refused before it starts."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from core.errors import ServingError
from serving import publishing
from serving.protocol.grpc import connect, infer_async
from serving.protocol.model_config import Instances, ModelConfig, Tensor
from serving.repository.configs import read_config
from serving.repository.versions import list_models
from serving.server import shared_memory
from serving.server.launch import free_ports
from serving.server.shared_memory import PLACE, check_shared_memory, needed, needed_by, shared_memory_bytes
from serving.server.supervisor import Supervisor
from tests.serving.conftest import SPEC, make_bundle, publish
from tests.serving.server.test_supervisor import eventually

MIB = 1 << 20
SIDE = 160


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A repository with a model of larger images, and its models for thin clients."""
    place = tmp_path_factory.mktemp("large")
    bundle = make_bundle(place / "bundle", replace(SPEC, height=SIDE, width=SIDE))
    publishing.publish(bundle, "large", place / "repository", trial=False)
    return place / "repository"


def regions(prefix):
    return sorted(path.stat().st_blocks * 512 // MIB for path in PLACE.glob(f"{prefix}*") if path.stat().st_size)


def test_a_real_server_takes_what_was_computed(large):
    """Each stub a mebibyte and its largest batch, in and out, once it has answered one."""
    with Supervisor(large, free_ports()) as supervisor, connect(supervisor.url) as client:
        for door, output in (("from_seed", "image"), ("png", "base64")) * 2:
            asked = {"seed": np.arange(64)[:, None]}
            answers = [infer_async(client, f"large_{door}", asked, output=output, seconds=60) for _ in range(2)]
            assert all(len(answer.result()) == 64 for answer in answers)
        taken = regions(supervisor.server._workspace.shm_prefix)
    batch = 64 * SIDE * SIDE * 4 / MIB
    # A generator's images, those and what is given on, and files as text besides: of noise, as large as they can be.
    assert taken[0] == pytest.approx(1 + batch, abs=1)
    assert taken[-1] == pytest.approx(1 + batch * (1 + 4 / 3), abs=2)
    wanted = needed_by(list_models(large), bundled=True)
    assert wanted == {
        "large": 1 + ceil(batch + 64 * 9 * 4 / MIB),
        "large_from_seed": 2 * (1 + ceil(2 * batch)),
        "large_png": 2 * (1 + ceil(batch * (4 / 3 + 4 / 3))),
    }
    assert sum(taken) <= sum(wanted.values()) <= sum(taken) + 3 * len(taken) + batch


def test_what_a_version_takes(large):
    config = replace(read_config(large / "large"), max_batch_size=16)
    assert needed(config, bundled=True) == 1 + ceil(16 * (SIDE * SIDE * 4 + 9 * 4) / MIB)
    assert needed(config, bundled=False) == 0  # in the server itself
    assert needed(read_config(large / "large_png"), bundled=False) > 0


def test_as_many_versions_are_counted_as_are_served(make_repository, bundle):
    repository = make_repository()
    for versions in (2, 3):
        publish(bundle, "tiny", repository)
        assert needed_by(list_models(repository), bundled=True) == {"tiny": 2 * needed(
            read_config(repository / "tiny"), bundled=True)}, versions  # fmt: skip


def test_where_there_is_no_room_the_figures_are_said(large, monkeypatch):
    monkeypatch.setattr(shared_memory, "free", lambda: 20)
    said = r"the models need 72 MiB of /dev/shm, which has 20 free: give it more \(docker run --shm-size 144m\), " \
        r"or lower max_batch_size to 16 in config.pbtxt, of 'large_png' above all"  # fmt: skip
    with pytest.raises(ServingError, match=said):
        Supervisor(large, free_ports()).run()
    monkeypatch.setattr(shared_memory, "free", lambda: 0)
    with pytest.raises(ServingError, match=r"--shm-size 144m\)$"):
        check_shared_memory(list_models(large), True)
    monkeypatch.setattr(shared_memory, "free", lambda: 72)
    check_shared_memory(list_models(large), True)


def test_a_machine_without_any_is_said(large, tmp_path, monkeypatch):
    monkeypatch.setattr(shared_memory, "PLACE", tmp_path / "nowhere")
    with pytest.raises(ServingError, match=r"nowhere cannot be used .*: mount a tmpfs there"):
        check_shared_memory(list_models(large), True)


def test_a_version_for_which_there_is_no_room_is_refused_and_the_server_goes_on(make_repository, bundle, monkeypatch):
    repository, events = make_repository(), []
    with Supervisor(repository, free_ports(), on_event=events.append) as supervisor:
        pid = supervisor.server.pid
        monkeypatch.setattr(shared_memory, "free", lambda: 1)
        publish(bundle, "tiny", repository)
        eventually(lambda: events[-1].kind == "refused")
        assert supervisor.server.pid == pid
    assert "need 4 MiB of /dev/shm, which has 0 to spare" in events[2].message
    assert events[2].message.endswith("version 1 goes on")


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
    assert shared_memory_bytes([encoder]) == 4 * MIB + 8 * (64 * 64 * 4 + 64 * 64 * 4 * 4 // 3)
    assert shared_memory_bytes([replace(encoder, backend="ensemble", instances=None)]) == 0
    loose = ModelConfig("loose", (Tensor("rows", "FP32", (-1,)),), (image,), max_batch_size=0, instances=None)
    assert shared_memory_bytes([loose]) == 4 * MIB + 4 + 64 * 64 * 4
