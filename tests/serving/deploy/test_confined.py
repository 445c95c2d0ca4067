"""What is written, run as it is: read-only, as user 1000, with the limits it names, and no network but loopback."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.bundle import GOLDEN
from core.golden import Golden
from serving.deploy.compose import KEY_FILE
from serving.deploy.compose import manifests as render_compose
from serving.deploy.container import DOCKERFILE
from serving.deploy.container import manifests as render_serve
from serving.deploy.plan import plan
from serving.server.locate import find_triton, server_in_wheel
from serving.server.workspace import make_workspace, remove_workspace
from tests.running import ROOT
from tests.serving.conftest import SPEC, make_bundle, publish
from tests.serving.deploy.confinement import Container, Inside, start, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

KEY = "0123456789abcdef"
UNITS = {"m": 1 << 20, "g": 1 << 30}


COUNT = [f"{sys.prefix}/bin/python", "-Bc", "from serving.server.cores import usable_cores; print(usable_cores())"]


def size(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def pythons() -> dict[str, str]:
    """Where this environment's Python lies, and that which it was made of."""
    places = {sys.prefix, str(Path(sys.executable).resolve().parent.parent), str(Path(sys.prefix).resolve())}
    return {place: place for place in places if not place.startswith("/usr")}


def container_of(service: dict[str, Any], binds: dict[str, str], **variables: str) -> Container:
    """The container that Docker would make of a service of a compose file."""
    place, options = service["tmpfs"][0].split(":")
    limits = service["deploy"]["resources"]["limits"]
    return Container(
        [word.replace("$$", "$") for word in service["entrypoint"]],
        {**pythons(), str(ROOT): str(ROOT), **binds},
        {place: options, "/dev/shm": f"size={service['shm_size']}"},
        {"PATH": "/usr/bin:/bin", **service.get("environment", {}), **variables},
        float(limits["cpus"]),
        size(limits["memory"]),
        limits["pids"],
    )


def mounts(service: dict[str, Any], out: Path) -> dict[str, str]:
    return {each["target"]: str((out / each["source"]).resolve()) for each in service["volumes"]}


def stand_in(work: Path, root: Path) -> Path:
    """A folder like NVIDIA's /opt/tritonserver, in which the program starts the bundled server with what it lacks."""
    program = work / "tritonserver" / "bin" / "tritonserver"
    program.parent.mkdir(parents=True)
    libraries = f"/opt/workspace/lib:{server_in_wheel().parent.parent / 'nvidia_pytriton.libs'}"
    program.write_text(
        f"#!/bin/sh\nexport LD_LIBRARY_PATH={libraries} PATH={sys.prefix}/bin:$PATH\n"
        f'exec {find_triton().program} --backend-directory=/opt/workspace/backends "$@"\n'
    )
    program.chmod(0o755)
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return program.parent.parent


def readable(folder: Path) -> None:
    """As a repository is that user 1000 may read; pytest's temporary folders are root's alone."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture(scope="module")
def workspace() -> Iterator[Path]:
    made = make_workspace(find_triton())
    yield made.root
    remove_workspace(made)


@pytest.fixture(scope="module")
def composed(tmp_path_factory, style_bundle, workspace) -> Iterator[tuple[Inside, dict[str, Any]]]:
    work = tmp_path_factory.mktemp("composed")
    publish(style_bundle, "sprites", work / "model_repository")
    readable(work / "model_repository")
    (document,) = render_compose(plan("sprites", work / "model_repository", work / "deploy"))["compose.yaml"]
    service = document["services"]["triton"]
    with start(composed_container(service, work, workspace), work) as inside:
        inside.wait_until(service["healthcheck"]["test"][1:])
        yield inside, service


def composed_container(service: dict[str, Any], work: Path, workspace: Path) -> Container:
    (work / KEY_FILE).write_text(KEY)
    binds = {
        **mounts(service, work / "deploy"),
        "/opt/tritonserver": str(stand_in(work, workspace)),
        "/opt/workspace": str(workspace),
        f"/run/secrets/{KEY_FILE}": str(work / KEY_FILE),
    }
    return container_of(service, binds)


def sample(inside: Inside, *arguments: str) -> dict[str, np.ndarray]:
    """Pictures that the command line asks for in the container."""
    python = f"{sys.prefix}/bin/python"
    line = [python, "-B", str(ROOT / "cli.py"), "sample", "sprites", "--out", "/tmp/pictures", *arguments]
    done = inside.run(*line)
    assert done.returncode == 0, done.stdout + done.stderr + inside.log.read_text()
    return {path.name: np.asarray(Image.open(path)) for path in (inside.root / "tmp" / "pictures").glob("*.png")}


def first_of(pictures: dict[str, np.ndarray]) -> np.ndarray:
    return pictures[min(pictures)].astype(int)


def test_the_compose_file_s_own_command_serves_the_right_pictures(composed, style_bundle):
    inside, _ = composed
    pictures = sample(inside, "--seeds", "0-3", "--url", "127.0.0.1:8001")
    golden = Golden.read(style_bundle / GOLDEN)
    assert len(pictures) == 4
    assert np.abs(first_of(pictures) - golden.images[0]).max() <= 1


def test_it_has_no_rights_and_nothing_to_write_to_but_memory(composed):
    inside, _ = composed
    assert inside.status("Uid") == inside.status("Gid") == ["1000"] * 4
    assert inside.status("CapEff") == inside.status("CapBnd") == ["0" * 16]
    assert inside.status("NoNewPrivs") == ["1"]
    for place in ("/x", "/models/x", "/opt/tritonserver/x", "/run/secrets/x"):
        assert inside.run("touch", place).returncode != 0, place
    for place in ("/tmp/x", "/dev/shm/x"):
        assert inside.run("touch", place).returncode == 0, place


def test_it_reaches_nothing_but_itself(composed):
    inside, _ = composed
    devices = Path(f"/proc/{inside.pid}/net/dev").read_text(encoding="utf-8").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]


def test_it_stays_far_below_its_limit_of_processes(composed):
    inside, service = composed
    sample(inside, "--seeds", "0-63", "--url", "127.0.0.1:8001")
    assert 20 < inside.processes() < service["deploy"]["resources"]["limits"]["pids"] / 2


def test_the_probe_notices_a_model_that_is_not_there(composed):
    inside, service = composed
    probe = service["healthcheck"]["test"][1:]
    assert inside.run(*probe, http_proxy="http://127.0.0.1:9").returncode == 0, "whatever proxies there are"
    assert inside.run(*[word.replace("sprites_mapping", "sprites_other") for word in probe]).returncode != 0


@pytest.mark.parametrize("enough", [True, False])
def test_shared_memory_is_enough_as_it_is_written_and_not_much_less(tmp_path, workspace, enough):
    """Two instances of two versions, each warmed up with its largest batch."""
    bundle = make_bundle(tmp_path / "large", replace(SPEC, height=256, width=256))
    for _ in range(2):
        publish(bundle, "large", tmp_path / "model_repository")
    readable(tmp_path / "model_repository")
    (document,) = render_compose(plan("large", tmp_path / "model_repository", tmp_path / "deploy"))["compose.yaml"]
    service = document["services"]["triton"]
    written = int(service["shm_size"].removesuffix("m"))
    service["shm_size"] = f"{written if enough else written // 3}m"
    with start(composed_container(service, tmp_path, workspace), tmp_path) as inside:
        if enough:
            inside.wait_until(service["healthcheck"]["test"][1:])
            taken = sum(path.stat().st_size for path in (inside.root / "dev" / "shm").iterdir())
            assert written / 2 < taken / 2**20 < written
        else:
            assert inside.starter.wait(120) != 0, "it ends by a signal, or says that it cannot load"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """What the Dockerfile's pip installs of ours, from nothing but what it copies; what that needs is here already."""
    work = tmp_path_factory.mktemp("image")
    for words in instructions("COPY"):
        *sources, target = words.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, work / "src" / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (work / "src" / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, work / "src" / target)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*install, str(work / "site"), "."], cwd=work / "src", check=True)
    return work / "site"


def instructions(name: str) -> list[str]:
    text = DOCKERFILE.replace("\\\n", " ")
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]


def test_the_dockerfile_s_own_command_serves_the_right_pictures(tmp_path, installed, style_bundle):
    publish(style_bundle, "sprites", tmp_path / "model_repository")
    readable(tmp_path / "model_repository")
    planned = plan("sprites", tmp_path / "model_repository", tmp_path / "deploy", cpus=1)
    ((document,),) = [each for each in render_serve(planned).values() if not isinstance(each, str)]
    program, *flags = json.loads(instructions("ENTRYPOINT")[0])
    service = document["services"]["serve"]
    service["entrypoint"] = [f"{sys.prefix}/bin/python", f"/opt/site/bin/{program}", *flags]
    variables = dict(each.split("=") for each in instructions("ENV")[0].split())
    binds = {**mounts(service, tmp_path / "deploy"), "/opt/site": str(installed)}
    container = container_of(service, binds, PYTHONPATH="/opt/site", **variables)
    cmd = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
    with start(container, tmp_path) as inside:
        inside.wait_until([f"{sys.prefix}/bin/python", *cmd[1:]])
        assert inside.run(*COUNT, PYTHONPATH="/opt/site").stdout.strip() == "1", "not those of the machine"
        pictures = sample(inside, "--seeds", "0", "--url", "127.0.0.1:8001")
        assert np.abs(first_of(pictures) - Golden.read(style_bundle / GOLDEN).images[0]).max() <= 1
        assert inside.processes() < service["deploy"]["resources"]["limits"]["pids"] / 2
