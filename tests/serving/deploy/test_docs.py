"""What docs/deploy.md tells people to type, as far as it can be tried without a cluster."""

import re
import subprocess
from pathlib import Path

import pytest

from serving.deploy.plan import IMAGE, plan
from serving.repository.locks import LOCK
from serving.repository.servable import check_servable
from tests.running import ROOT
from tests.serving.conftest import publish

TEXT = (ROOT / "docs" / "deploy.md").read_text()
# Runs what comes after the -- here.
KUBECTL = 'kubectl() { while [ "$1" != -- ]; do shift; done; shift; "$@"; }'


def copy_commands(volume: Path) -> str:
    """Of the block that brings the models to a cluster, all that does not need one."""
    (block,) = [each for each in re.findall(r"```\n(.*?)```", TEXT, re.DOTALL) if "sha256sum" in each]
    lines = [line for line in block.splitlines() if not re.match(r"kubectl (?!exec)", line)]
    return "\n".join([KUBECTL, *lines]).replace("/mnt/models", str(volume)).replace("release=1 ", "release=2 ")


def run(commands: str, here: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", "-ec", commands], cwd=here, capture_output=True, text=True, check=False)


@pytest.fixture
def published(tmp_path, style_bundle) -> Path:
    """What is to be copied, and an older version that is not."""
    repository = tmp_path / "model_repository"
    publish(style_bundle, "sprites", repository)
    publish(style_bundle, "sprites", repository)
    return tmp_path


def test_the_copy_brings_the_folders_byte_for_byte(published):
    volume = published / "volume"
    done = run(copy_commands(volume), published)
    assert done.returncode == 0, done.stderr
    planned = plan("sprites", published / "model_repository", published)
    copies = {
        path.relative_to(volume / planned.release): path.read_bytes() for path in volume.rglob("*") if path.is_file()
    }
    there = published / "model_repository"
    wanted = [path for path in there.rglob("*") if path.is_file() and "1" not in path.relative_to(there).parts]
    wanted.remove(there / LOCK)  # of this machine's servers and publishers
    assert copies == {path.relative_to(there): path.read_bytes() for path in wanted}
    assert {path.parts[:2] for path in copies} == {
        (model, part) for model in planned.models for part in ("config.pbtxt", "configs", "2")
    }
    assert check_servable(volume / "v2") is None


def test_links_are_copied_as_what_they_lead_to(published):
    repository, volume = published / "model_repository", published / "volume"
    (repository / "sprites").rename(published / "elsewhere")
    (repository / "sprites").symlink_to(published / "elsewhere")
    done = run(copy_commands(volume), published)
    assert done.returncode == 0, done.stderr
    assert not [path for path in volume.rglob("*") if path.is_symlink()]
    copied = (volume / "v2" / "sprites" / "2" / "model.onnx").read_bytes()
    assert copied == (published / "elsewhere" / "2" / "model.onnx").read_bytes()


def test_a_copy_that_was_damaged_is_noticed(published):
    volume = published / "volume"
    copying, _, proving = copy_commands(volume).partition("\n(cd model_repository")
    damaging = f"\nprintf x >> {volume}/v2/sprites/2/model.onnx\n"
    done = run(f"{copying}{damaging}\n(cd model_repository{proving}", published)
    assert done.returncode != 0
    assert "sprites/2/model.onnx: FAILED" in done.stdout


def test_the_image_is_the_one_that_is_written():
    assert IMAGE in TEXT
