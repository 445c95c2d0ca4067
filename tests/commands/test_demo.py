"""``demo`` without a server, on tiny pictures: every step of the road leaves what the next one needs."""

from dataclasses import replace
from pathlib import Path

import pytest

from commands.training import run_training
from tests.running import Run
from tests.trainer.conftest import blobs
from tests.trainer.pairs import paired_pack
from trainer.data.openmoji import OpenmojiOptions
from trainer.data.pack import PackInfo, write_pack
from trainer.preparing import TrainingRequest

TINY = ("width=4", "batch=8", "previews=4")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> list[OpenmojiOptions]:
    """Discs in the place of OpenMoji, and small networks; what pack was asked for."""
    asked: list[OpenmojiOptions] = []

    def make_pack(destination: Path, options: OpenmojiOptions) -> None:
        asked.append(options)
        if options.lines:
            paired_pack(destination, 100)
        else:
            write_pack(destination, blobs(), None, PackInfo("discs", 16, 16, 4))

    def train(request: TrainingRequest) -> None:
        settings = (*request.settings, *TINY)
        run_training(replace(request, settings=settings, changes={**request.changes, "metric_kimg": 0.0}))

    monkeypatch.setattr("commands.demo.make_openmoji", make_pack)
    monkeypatch.setattr("commands.demo.run_training", train)
    return asked


def pictures(folder: Path) -> int:
    return len(list((folder / "images").glob("*.png")))


def test_the_demo_walks_from_pictures_to_new_ones_and_goes_on_by_itself(
    here: Run, tiny: list[OpenmojiOptions], tmp_path: Path
) -> None:
    place = tmp_path / "demo"
    done = here("demo", "--no-server", "--kimg", 0.016, "--out", place)
    assert done.returncode == 0, done.stderr
    assert [str(options.size) for options in tiny] == ["32x32"]
    assert (pictures(place), (place / "sheet.png").is_file()) == (64, True)
    for step in (*(f"{number} of 5" for number in range(1, 6)), "exported and verified", "done: look at"):
        assert step in done.stdout

    again = here("demo", "--no-server", "--kimg", 0.016, "--out", place)
    assert again.returncode == 0, again.stderr
    assert "is already trained" in again.stdout and len(tiny) == 1


def test_the_demo_of_a_translator_makes_pictures_of_lines_it_has_not_seen(
    here: Run, tiny: list[OpenmojiOptions], tmp_path: Path
) -> None:
    place = tmp_path / "demo"
    done = here("demo", "--no-server", "--translate", "--kimg", 0.016, "--out", place)
    assert done.returncode == 0, done.stderr
    assert [(str(options.size), options.lines) for options in tiny] == [("64x64", True)]
    assert pictures(place) == len(list((place / "lines").glob("*.png"))) == 20
    assert "colourise-cpu on discs" in done.stdout
