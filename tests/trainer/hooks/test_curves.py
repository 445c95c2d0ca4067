"""Curves of several runs in one picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from core.errors import TrainingError
from trainer.hooks.curves import (
    COLOURS,
    HEALTHY,
    HEALTHY_ALPHA,
    WON_ALPHA,
    _bands,
    names_of,
    plot_losses,
    plot_runs,
    smooth,
)
from trainer.objective.losses import WON
from trainer.run import KID, Run

BANDS = ((COLOURS[2], HEALTHY_ALPHA), (COLOURS[1], WON_ALPHA))


def write_run(folder: Path, seed: int, kid: bool = True) -> Path:
    folder.mkdir(parents=True)
    noise = np.random.RandomState(seed).normal(0, 0.1, (100, 2))
    lines = [
        {
            "images": n * 1000,
            "discriminator/loss": 1 + seed + a,
            "generator/loss": 2 - seed + b,
            "generator/mean": a,
        }
        for n, (a, b) in enumerate(noise.tolist(), 1)
    ]
    if kid:
        lines += [{"images": n * 20_000, KID: 0.5 / n} for n in range(1, 6)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def inked(picture: np.ndarray, colour: str) -> int:
    """How many pixels are exactly of ``colour``."""
    return int((picture == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=-1).sum())


def test_every_run_has_a_colour_in_every_panel(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"run{seed}", seed) for seed in range(6)]
    plot_runs(runs, tmp_path / "new" / "plot.png")
    page = pixels(tmp_path / "new" / "plot.png")
    thirds = np.array_split(page, 3)
    for colour in COLOURS[:6]:
        assert all(inked(third, colour) > 30 for third in thirds)
    assert inked(page, COLOURS[0]) < page.size / 30


def test_runs_without_kid_share_a_picture_with_those_that_have_it(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a", 0, kid=False), write_run(tmp_path / "b", 1)]
    plot_runs(runs, tmp_path / "both.png")
    plot_runs(runs[:1], tmp_path / "one.png")
    both, one = pixels(tmp_path / "both.png"), pixels(tmp_path / "one.png")
    assert len(both) == pytest.approx(1.5 * len(one), rel=0.01)


def test_the_newest_samples_are_below_the_curves_side_by_side(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed) for seed, name in enumerate("ab")]
    plot_runs(runs, tmp_path / "without.png")
    for run, newest in zip(runs, ((250, 0, 0), (0, 250, 0)), strict=True):
        for images, colour in ((1000, (0, 0, 250)), (2000, newest)):
            path = Run(run).preview(images)
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (32, 32), colour).save(path)
    plot_runs(runs, tmp_path / "with.png")
    without, page = pixels(tmp_path / "without.png"), pixels(tmp_path / "with.png")
    left, right = np.array_split(page[len(without) :], 2, axis=1)
    assert (inked(left, "#fa0000") > 5000, inked(right, "#fa0000")) == (True, 0)
    assert (inked(right, "#00fa00") > 5000, inked(left, "#00fa00")) == (True, 0)
    assert inked(page, "#0000fa") == 0


def test_losses_of_a_judged_run_have_kid_below(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (write_run(tmp_path / "a", 0) / "log.jsonl").read_text().splitlines()]
    plot_losses(lines, tmp_path / "with.png")
    plot_losses([line for line in lines if KID not in line], tmp_path / "without.png")
    assert len(pixels(tmp_path / "with.png")) > 1.4 * len(pixels(tmp_path / "without.png"))


def tint(colour: str, alpha: float) -> str:
    """``colour`` over white."""
    parts = (int(colour[i : i + 2], 16) * alpha + 255 * (1 - alpha) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part):02x}" for part in parts)


def test_bands_say_what_is_healthy_where_winning_is_a_fault(tmp_path: Path) -> None:
    told = [0.7 + 0.001 * n for n in range(100)]
    lines = [{"images": n * 1000, "discriminator/told_apart": share} for n, share in enumerate(told)]
    plot_losses(lines, tmp_path / "contest.png")
    plot_losses(lines, tmp_path / "critic.png", contest=False)
    contest, critic = pixels(tmp_path / "contest.png"), pixels(tmp_path / "critic.png")
    assert all(near(contest, tint(*band)).any() for band in BANDS)
    assert not any(near(critic, tint(*band)).any() for band in BANDS)
    row = Figure().subplots()
    _bands(row, contest=True)
    spans = {band.get_label(): (band.get_y(), band.get_y() + band.get_height()) for band in row.patches}
    assert spans["healthy"] == pytest.approx(HEALTHY)
    assert spans["won by the discriminator"] == pytest.approx((WON, 1.01))


def near(picture: np.ndarray, colour: str) -> np.ndarray:
    """Where a row of the picture holds much of ``colour``, within a level of rounding, ``(h, w)``."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    found = (np.abs(picture.astype(int) - wanted) <= 1).all(axis=-1)
    return found & (found.sum(axis=1, keepdims=True) > picture.shape[1] // 4)


def test_a_run_of_which_only_some_was_logged_has_only_those_panels(tmp_path: Path) -> None:
    older = [{"images": n * 1000, "generator/loss": 1.0, "discriminator/real": 0.5} for n in range(9)]
    plot_losses(older, tmp_path / "older.png")
    plot_losses([{**line, "discriminator/told_apart": 0.8} for line in older], tmp_path / "newer.png")
    assert len(pixels(tmp_path / "newer.png")) == pytest.approx(1.5 * len(pixels(tmp_path / "older.png")), rel=0.02)


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert list(names_of(paths)) == ["a/run", "b/run"]
    assert list(names_of(paths[:1])) == ["run"]
    assert list(names_of([paths[0], paths[0]])) == ["run"]


def test_smoothing_keeps_lines_straight_and_calms_noise() -> None:
    values = np.linspace(0, 1, 300)
    assert smooth(values.tolist())[10:-10] == pytest.approx(values[10:-10])
    noise = np.random.RandomState(0).normal(size=300)
    assert np.std(smooth(noise.tolist())) < 0.5
    assert smooth([1.0]) == [1.0]


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is not a run"):
        plot_runs([tmp_path], tmp_path / "x.png")
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(TrainingError, match="nothing yet"):
        plot_runs([tmp_path], tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
