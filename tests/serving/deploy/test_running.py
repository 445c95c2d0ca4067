"""The compose file's own command, run by a real Triton: what its flags close, and what its probes notice."""

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from core.bundle import GOLDEN
from core.errors import ModelNotFound
from core.files import write_atomic
from core.golden import Golden
from serving.client.sampler import Sampler
from serving.deploy.compose import manifests
from serving.deploy.plan import plan
from serving.server.launch import ServerPorts, environment, free_ports
from serving.server.locate import find_triton
from serving.server.workspace import make_workspace, note_group, remove_workspace
from tests.serving.conftest import publish

KEY = "0123456789abcdef"
PROGRAM = "/opt/tritonserver/bin/tritonserver"


@dataclass(frozen=True)
class Running:
    service: dict[str, Any]
    ports: ServerPorts
    process: subprocess.Popen[bytes]
    script: str

    def get(self, path: str, key: str = "", body: dict[str, Any] | None = None) -> int:
        """The HTTP status of a request."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports.http}{path}", headers={"admin-key": key})
        if body is not None:
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.ports.grpc}"


def in_place_of_the_container(service: dict[str, Any], work: Path, more: str) -> str:
    """The script of the container, with what the container would have at fixed places found here instead."""
    models = work / "models"
    models.mkdir()
    for mount in service["volumes"]:
        (models / Path(mount["target"]).name).symlink_to((work / "deploy" / mount["source"]).resolve())
    write_atomic(work / "admin-key", KEY + "\n")
    program, *flags, script = service["entrypoint"]
    assert (program, flags) == ("/bin/sh", ["-c"])
    script = script.replace("$$", "$").replace("/run/secrets/admin-key", str(work / "admin-key"))
    return script.replace(f'"{PROGRAM}"', more).replace("=/models", f"={models}")


@pytest.fixture(scope="module")
def running(tmp_path_factory, style_bundle, bundle) -> Iterator[Running]:
    work = tmp_path_factory.mktemp("running")
    publish(style_bundle, "sprites", work / "model_repository")
    publish(bundle, "other", work / "model_repository")
    (document,) = manifests(plan("sprites", work / "model_repository", work / "deploy"))["compose.yaml"]
    service = document["services"]["triton"]
    triton, ports = find_triton(), free_ports()
    workspace = make_workspace(triton)
    here = [str(triton.program), f"--backend-directory={workspace.root / 'backends'}"]
    here.append(f"--backend-config=python,shm-region-prefix-name={workspace.shm_prefix}")
    for name in ("grpc", "http", "metrics"):
        here += [f"--{name}-address=127.0.0.1", f"--{name}-port={getattr(ports, name)}"]
    script = in_place_of_the_container(service, work, " ".join(here))
    try:
        with workspace.log.open("wb") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", script],
                env=environment(triton, workspace),
                cwd=workspace.root,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(workspace.lock,),
            )
        note_group(workspace, process.pid)
        server = Running(service, ports, process, script)
        wait_until_ready(server, workspace.log)
        yield server
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, workspace.log.read_text()
    finally:
        remove_workspace(workspace)


def wait_until_ready(server: Running, log: Path) -> None:
    for _ in range(600):
        assert server.process.poll() is None, log.read_text(encoding="utf-8")
        try:
            if server.get("/v2/health/ready") == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(log.read_text(encoding="utf-8"))


def test_clients_get_their_images(running, style_bundle):
    golden = Golden.read(style_bundle / GOLDEN)
    with Sampler("sprites", running.url) as sampler:
        images = np.stack([image for _, image in sampler.sample(range(5))])
        assert sampler.style_shape is not None
    assert images.shape == golden.images.shape
    assert np.abs(images[:1].astype(int) - golden.images[:1]).max() <= 1  # the only one that is not truncated


def test_models_that_do_not_belong_to_it_are_not_there(running):
    with pytest.raises(ModelNotFound, match="has no model 'other'"):
        Sampler("other", running.url)


def test_http_gives_nothing_but_health_without_the_key(running):
    assert running.get("/v2/health/ready") == 200
    assert running.get("/v2/models/sprites/ready") == 200
    closed = ["/v2", "/v2/models/sprites", "/v2/models/sprites/config", "/v2/models/sprites/stats"]
    closed += ["/v2/systemsharedmemory/status", "/v2/logging", "/v2/trace/setting"]
    for path in closed:
        assert running.get(path) == running.get(path, "wrong") == 403, path
        assert running.get(path, KEY) == 200, path
    for path in ("/v2/repository/index", "/v2/models/sprites/infer", "/v2/repository/models/sprites/unload"):
        assert running.get(path, body={}) == 403, path


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, key: client.get_model_repository_index(headers=key),
        lambda client, key: client.get_inference_statistics(headers=key),
        lambda client, key: client.get_system_shared_memory_status(headers=key),
        lambda client, key: client.get_log_settings(headers=key),
        lambda client, key: client.get_trace_settings(headers=key),
    ],
)
def test_grpc_keeps_administration_for_whoever_has_the_key(running, ask):
    with tritonclient.grpc.InferenceServerClient(running.url) as client:
        for key in ({}, {"triton-grpc-protocol-admin-key": "wrong"}):
            with pytest.raises(InferenceServerException, match="restricted"):
                ask(client, key)
        ask(client, {"triton-grpc-protocol-admin-key": KEY})


def test_models_can_be_neither_loaded_nor_unloaded_even_with_the_key(running):
    key = {"triton-grpc-protocol-admin-key": KEY}
    with tritonclient.grpc.InferenceServerClient(running.url) as client:
        for change in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="not allowed"):
                change("sprites", headers=key)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (apt-get install curl)")
def test_the_probe_succeeds_while_every_model_is_ready(running):
    cmd, *probe = (word.replace(":8000", f":{running.ports.http}") for word in running.service["healthcheck"]["test"])
    assert cmd == "CMD"
    assert subprocess.run(probe, check=False).returncode == 0
    addresses = [word for word in probe if word.startswith("http")]
    assert len(addresses) == 3
    for address in addresses:  # whichever it is that is not
        missing = [word.replace("/ready", "x/ready") if word == address else word for word in probe]
        assert subprocess.run(missing, check=False).returncode != 0


def test_the_metrics_that_scaling_rests_on_are_there(running):
    with urllib.request.urlopen(f"http://127.0.0.1:{running.ports.metrics}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for name in ("nv_inference_queue_duration_us", "nv_inference_request_success"):
        assert f'{name}{{model="sprites"' in text


@pytest.mark.parametrize(("key", "starts"), [("secret\n", True), ("", False), (None, False)])
def test_nothing_starts_without_a_key(running, tmp_path, key, starts):
    if key is not None:
        (tmp_path / "admin-key").write_text(key)
    before, _, rest = running.script.partition("$(cat ")
    script = f"{before}$(cat {tmp_path / 'admin-key'}){rest.partition(')')[2]}".replace("exec", "exec echo", 1)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == starts
    assert ("logging:admin-key=secret" in done.stdout) == starts
