"""A run's folder is ours, and what lies in it that is not stays as it is."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import CheckpointError, TrainingError
from tests.trainer.conftest import tiny_config
from trainer import state
from trainer.data.pack import Pack
from trainer.mark import MARK
from trainer.planning import plan
from trainer.run import Run
from trainer.training import Outcome, train


def hashes(root: Path, names: list[str]) -> dict[str, str]:
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}


def put(root: Path, *names: str) -> list[str]:
    """Somebody's files, pictures among them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".png"):
            Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(root / name)
        else:
            (root / name).write_text("mine")
    return list(names)


@pytest.fixture(scope="module")
def finished(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two states and two previews, to be copied."""
    out = tmp_path_factory.mktemp("finished") / "run"
    assert train(plan(tiny_config(), pack), out) is Outcome.DONE
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    "names",
    [
        ["samples/1.png", "samples/2.png", "config.json", "log.jsonl"],
        ["levels/notes.txt", "tensorboard/events.out.tfevents.1"],
        ["checkpoints/000000040/photo.png"],
        [".lock"],
        ["photo.png", ".DS_Store"],
    ],
)
def test_a_folder_that_holds_anything_and_no_run_is_refused(
    pack: Pack, out: Path, names: list[str], resume: bool
) -> None:
    put(out, *names)
    before = hashes(out, names)
    with pytest.raises(TrainingError, match="is no run of ours, so nothing is written there: choose another --out"):
        train(plan(tiny_config(), pack), out, resume)
    assert hashes(out, names) == before
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == set(names)


def test_settings_of_ours_alone_prove_nothing(pack: Pack, out: Path) -> None:
    out.mkdir()
    (out / "config.json").write_text(tiny_config().to_json())
    with pytest.raises(TrainingError, match=r"holds config\.json and is no run of ours"):
        train(plan(tiny_config(), pack), out)


@pytest.mark.parametrize("left", [[], [".DS_Store"], ["Thumbs.db", "desktop.ini"]])
def test_an_empty_folder_is_taken(pack: Pack, out: Path, left: list[str]) -> None:
    out.mkdir()
    put(out, *left)
    assert train(plan(tiny_config(kimg=0.016), pack), out) is Outcome.DONE
    assert all((out / name).read_text() == "mine" for name in left)


THEIRS = (
    *("samples/1.png", "samples/000000007.txt", "samples/0000000400.png", "levels/mine.safetensors", "notes.md"),
    *("checkpoints/2024/photo.png", "checkpoints/000000001/photo.png", "tensorboard/events.out.tfevents.1"),
    *("evaluation.png", "checkpoints/.000000040.abcdefgh.tmp/photo.png"),
)


def test_going_on_and_beginning_anew_leave_what_is_somebody_elses(pack: Pack, run: Path) -> None:
    names = put(run, *THEIRS)
    before = hashes(run, names)
    assert train(plan(tiny_config(kimg=0.48), pack), run) is Outcome.DONE
    assert hashes(run, names) == before
    assert [moment for moment, _ in Run(run).previews()] == [160, 320, 480]
    assert train(plan(tiny_config(kimg=0.16, seed=1), pack), run, resume=False) is Outcome.DONE
    assert hashes(run, names) == before
    assert [moment for moment, _ in Run(run).previews()] == [160]
    assert [path.name for path in (run / "checkpoints").glob("000000[1-9]*")] == ["000000160"]


def test_beginning_anew_deletes_all_that_was_written(run: Path) -> None:
    Run(run).clear()
    assert sorted(path.name for path in run.rglob("*")) == [".lock", MARK]


def test_a_state_keeps_what_somebody_put_into_it(pack: Pack, run: Path) -> None:
    put(run, "checkpoints/000000160/photo.png")
    train(plan(tiny_config(kimg=0.64), pack), run)
    Run(run).clear()
    assert [path.name for path in (run / "checkpoints" / "000000160").glob("*.png")] == ["photo.png"]


def test_a_file_at_a_place_that_the_run_wants_is_never_replaced(pack: Pack, run: Path) -> None:
    (run / "samples" / "000000480.png").write_text("mine")
    with pytest.raises(TrainingError, match=r"000000480\.png is in the way"):
        train(plan(tiny_config(kimg=0.48), pack), run)
    assert (run / "samples" / "000000480.png").read_text() == "mine"
    shutil.copytree(run / "samples", run / "checkpoints" / "000000480")
    (run / "samples" / "000000480.png").unlink()
    with pytest.raises(CheckpointError, match="000000480 is in the way"):
        train(plan(tiny_config(kimg=0.48), pack), run)
    assert (run / "checkpoints" / "000000480" / "000000480.png").read_text() == "mine"


def test_a_run_of_before_there_was_a_mark_is_known_by_its_state(pack: Pack, run: Path) -> None:
    (run / MARK).unlink()
    put(run, "samples/1.png", "evaluation.png")
    assert train(plan(tiny_config(kimg=0.48), pack), run) is Outcome.DONE
    Run(run).clear()
    kept = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert kept == {".lock", MARK, "samples/1.png", "evaluation.png"}


def test_a_mark_of_another_version_is_left_alone(pack: Pack, run: Path) -> None:
    values = json.loads((run / MARK).read_text())
    (run / MARK).write_text(json.dumps(values | {"format_version": 2}))
    with pytest.raises(TrainingError, match="another version"):
        train(plan(tiny_config(), pack), run)


def test_where_no_state_is_whole_nobody_is_led_into_loss(pack: Pack, run: Path) -> None:
    for path in (run / "checkpoints").glob("*/state.json"):
        path.write_text("{")
    names = [path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()]
    before = hashes(run, names)
    with pytest.raises(TrainingError) as told:
        train(plan(tiny_config(), pack), run)
    said = str(told.value)
    assert said.index("use another --out") < said.index("can still be exported") < said.index("--no-resume would")
    assert "delete 2 saved states, the newest after 320 images" in said
    assert hashes(run, names) == before


def test_a_damaged_state_that_is_set_aside_keeps_what_somebody_put_there(pack: Pack, run: Path) -> None:
    put(run, "checkpoints/000000320.damaged/photo.png")
    (run / "checkpoints" / "000000320" / "state.json").write_text("{")
    train(plan(tiny_config(), pack), run)
    assert (run / "checkpoints" / "000000320.damaged" / "photo.png").exists()
    assert state.load_latest(run / "checkpoints")[0].images_seen == 320
