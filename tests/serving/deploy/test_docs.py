"""What docs/deploying.md tells people to type, as far as it can be tried without a cluster."""

import re
import subprocess
from pathlib import Path

import pytest

from serving.deploy.plan import IMAGE, plan
from tests.serving.conftest import publish
from tests.test_cli import ROOT

TEXT = (ROOT / "docs" / "deploying.md").read_text()
# Runs what comes after the -- here.
KUBECTL = 'kubectl() { while [ "$1" != -- ]; do shift; done; shift; "$@"; }'


def copy_commands(volume: Path) -> str:
    """Of the block that brings the models to a cluster, all that does not need one."""
    (block,) = [each for each in re.findall(r"```\n(.*?)```", TEXT, re.DOTALL) if "sha256sum" in each]
    lines = [line for line in block.splitlines() if not re.match(r"kubectl (?!exec)", line)]
    return "\n".join([KUBECTL, *lines]).replace("/mnt/models", str(volume))


def run(commands: str, here: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", "-ec", commands], cwd=here, capture_output=True, text=True, check=False)


@pytest.fixture
def published(tmp_path, style_bundle) -> Path:
    publish(style_bundle, "sprites", tmp_path / "model_repository")
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
    assert copies == {path.relative_to(there): path.read_bytes() for path in there.rglob("*") if path.is_file()}
    assert {path.parts[0] for path in copies} == set(planned.models)


def test_a_copy_that_was_damaged_is_noticed(published):
    volume = published / "volume"
    copying, _, proving = copy_commands(volume).partition("(cd model_repository")
    damaging = f"\nprintf x >> {volume}/v1/sprites/1/model.onnx\n"
    done = run(f"{copying}{damaging}(cd model_repository{proving}", published)
    assert done.returncode != 0
    assert "sprites/1/model.onnx: FAILED" in done.stdout


def test_the_image_is_the_one_that_is_written():
    assert IMAGE in TEXT
