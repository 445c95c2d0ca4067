from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cli import app
from core.errors import DeployError
from serving.deploy.plan import plan
from serving.deploy.writing import TARGETS, write
from tests.running import ROOT, assert_one_line, cli
from tests.serving.conftest import publish

EXAMPLE = ROOT / "deploy" / "sprites"


@pytest.fixture(scope="module")
def published(tmp_path_factory, style_bundle) -> Path:
    """A folder like the top of this project, with a generator that has styles published as ``sprites``."""
    here = tmp_path_factory.mktemp("here")
    publish(style_bundle, "sprites", here / "model_repository")
    return here


@pytest.mark.parametrize("target", TARGETS)
def test_the_examples_are_what_is_written_today(published, tmp_path, target):
    """To renew them: ``cli.py deploy sprites --compose`` and so on, of such a repository, with --overwrite."""
    planned = plan("sprites", published / "model_repository", published / "deploy" / "sprites")
    for path in write(planned, target, tmp_path):
        assert path.read_text() == (EXAMPLE / path.name).read_text()


def test_there_is_no_example_of_what_is_no_longer_written(planned):
    written = {name for render in TARGETS.values() for name in render(planned)}
    assert written == {path.name for path in EXAMPLE.iterdir()}


def test_files_that_differ_are_kept_and_nothing_is_written(planned, tmp_path):
    mine = tmp_path / "storage.yaml"
    mine.write_text("mine\n")
    with pytest.raises(DeployError, match="--overwrite"):
        write(planned, "kubernetes", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["storage.yaml"]
    assert mine.read_text() == "mine\n"
    with pytest.raises(DeployError, match="did not write it"):
        write(planned, "kubernetes", tmp_path, overwrite=True)
    assert mine.read_text() == "mine\n"
    mine.unlink()
    write(planned, "kubernetes", tmp_path)
    ours = mine.read_text()
    mine.write_text(ours + "# changed\n")
    write(planned, "kubernetes", tmp_path, overwrite=True)
    assert mine.read_text() == ours


def test_the_same_again_changes_nothing_and_targets_share_a_folder(planned, tmp_path):
    for target in (*TARGETS, *TARGETS):
        write(planned, target, tmp_path)
    names = ["Dockerfile", "compose.yaml", "kserve.yaml", "kubernetes.yaml", "prometheus-adapter.yaml"]
    names += ["serve.compose.yaml", "storage.yaml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_the_command_writes_what_it_says(published):
    done = cli("deploy", "sprites", "--kubernetes", "--gpus", 1, "--replicas", 3, cwd=published)
    assert done.returncode == 0, done.stderr
    for name in ("kubernetes.yaml", "storage.yaml", "prometheus-adapter.yaml"):
        assert f"written: deploy/sprites/{name}" in done.stdout
    assert "sprites, sprites_mapping, sprites_synthesis, version 1" in done.stdout
    assert "<digest>" in done.stdout
    documents = list(yaml.safe_load_all((published / "deploy/sprites/kubernetes.yaml").read_text()))
    (scaler,) = [each for each in documents if each["kind"] == "HorizontalPodAutoscaler"]
    assert scaler["spec"]["minReplicas"] == 3


def test_the_command_answers_an_unknown_name_in_one_line(published):
    assert_one_line(cli("deploy", "sprite", "--compose", cwd=published), "it has sprites")
    assert not (published / "deploy" / "sprite").exists()


@pytest.mark.parametrize("targets", [[], ["--compose", "--kserve"]])
def test_the_command_wants_exactly_one_target(targets):
    done = CliRunner().invoke(app, ["deploy", "sprites", *targets])
    assert done.exit_code == 2
    assert "give one of --compose, --container, --kubernetes, --kserve" in " ".join(done.output.split())
