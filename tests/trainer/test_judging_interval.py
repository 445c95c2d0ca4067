"""How often KID is taken by default: what that may cost, and where it is left out."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import MissingDependency
from tests.trainer.conftest import blobs, tiny_config
from tests.trainer.metrics.conftest import thumbnails
from trainer import judging_interval as looks
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.judging_interval import SHARE, affordable, by_default
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import real_features
from trainer.planning import plan

EXTRACTOR = Extractor("thumbnails", {}, thumbnails)


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture costs a hundredth of a second to make and judge."""
    monkeypatch.setattr(looks, "lite0", lambda _device: EXTRACTOR)
    moments = iter(range(1000))
    monkeypatch.setattr(looks, "perf_counter", lambda: 0.16 * next(moments))


@pytest.fixture
def discs(tmp_path: Path) -> Pack:
    return write_pack(tmp_path / "pack", blobs(64), None, PackInfo("discs", 16, 16, 4))


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        (319, None),
        (320, (64, 5)),
        (1279, (64, 19)),
        (1280, (128, 10)),
        (2559, (128, 19)),
        (9999, (256, 20)),
        (-5, None),
    ],
)
def test_looks_are_many_enough_to_show_a_trend_and_large_where_there_is_time(pictures, expected) -> None:
    assert affordable(pictures) == expected


@pytest.mark.usefixtures("priced")
def test_all_looks_and_the_real_images_cost_no_more_than_the_share(discs: Pack) -> None:
    planned = plan(tiny_config(kimg=90.0), discs)
    chosen, line = by_default(planned, seconds=300.0)  # 9 seconds: 900 pictures, 64 of them real
    assert (chosen.config.metric_kimg, chosen.config.metric_samples, chosen.config.metric_reals) == (7, 64, 64)
    pictures = 64 + 64 * 90 / 7
    assert pictures * 0.01 <= SHARE * 300
    assert line.startswith("KID is taken every 7 kimg of 64 pictures (about 3.0% of the time)")
    assert replace(chosen.config, metric_kimg=0.0, metric_samples=500, metric_reals=0) == planned.config


@pytest.mark.usefixtures("priced")
def test_what_was_looked_at_before_costs_nothing(discs: Pack) -> None:
    real_features(discs, EXTRACTOR)
    chosen, _ = by_default(plan(tiny_config(kimg=90.0), discs), seconds=107.0)  # 321 pictures
    assert chosen.config.metric_kimg == 18


@pytest.mark.usefixtures("priced")
def test_short_runs_and_few_images_go_without(discs: Pack, tmp_path: Path) -> None:
    short = plan(tiny_config(), discs)
    assert by_default(short, seconds=100.0) == (short, "")
    few = plan(tiny_config(kimg=90.0), write_pack(tmp_path / "few", blobs(31), None, PackInfo("few", 16, 16, 4)))
    assert by_default(few, seconds=1e6) == (few, "")


def test_nobody_is_asked_for_the_network_that_judges(discs: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_device: torch.device) -> Extractor:
        raise MissingDependency("pip install it")

    monkeypatch.setattr(looks, "lite0", absent)
    planned = plan(tiny_config(kimg=90.0), discs)
    assert by_default(planned, seconds=1e6) == (planned, "")
    assert by_default(planned, seconds=1.0) == (planned, "")  # nor is it looked for
