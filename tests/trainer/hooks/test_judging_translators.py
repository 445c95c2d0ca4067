"""How translators are judged while they train: by L1 of validation pairs, or by KID where nobody knows the answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.checkpoint import load_generator, read_spec
from core.errors import DataError, MissingDependency
from core.images import Images
from tests.trainer.metrics.conftest import thumbnails
from tests.trainer.pairs import paired_pack, unpaired_pack
from trainer import judging_interval as looks
from trainer.data.pack import Pack
from trainer.hooks import judging as judge
from trainer.hooks.measures import measure_of
from trainer.judging_interval import LOOKS_AT_PAIRS, by_default
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import maker
from trainer.metrics.kid import kid
from trainer.metrics.pairs import l1
from trainer.planning import plan
from trainer.presets import resolve
from trainer.run import KID, L1, Run
from trainer.training import begin, train

EXTRACTOR = Extractor("thumbnails", {}, thumbnails)
TINY = {"kimg": 0.08, "batch": 8, "log_kimg": 0.04, "preview_kimg": 0.08, "checkpoint_kimg": 0.04, "previews": 4}
SMALL = ["width=4", "discriminator.field=16"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return paired_pack(tmp_path_factory.mktemp("pairs") / "pack", 100)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return unpaired_pack(tmp_path_factory.mktemp("two") / "pack", 200, 180)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, no_curves: None) -> None:
    monkeypatch.setattr(judge, "lite0", lambda _device: EXTRACTOR)
    monkeypatch.setattr(looks, "lite0", lambda _device: EXTRACTOR)


def tiny(preset: str, **changes: object) -> Any:
    return resolve(preset, SMALL[: 2 if "cycle" in preset else 1], **{**TINY, **changes})


def logged(out: Path, name: str) -> dict[int, float]:
    return {line["images"]: line[name] for line in Run(out).read_log() if name in line}


def made(path: Path, sources: Images) -> Images:
    return maker(load_generator(path))({"source": sources})


def test_the_best_is_chosen_by_l1_of_pairs_that_are_neither_trained_on_nor_reported(pairs: Pack, out: Path) -> None:
    notes: list[dict[str, Any]] = []
    train(plan(tiny("colourise-cpu", metric_kimg=0.04), pairs), out, report=notes.append)
    found, rows = logged(out, L1), pairs.rows("validation")
    assert [*found] == [40, 80]
    best = min(found, key=found.__getitem__)
    assert read_spec(Run(out).best).provenance.images_seen == best
    mean = l1(made(Run(out).best, pairs.gather_sources(rows)), pairs.gather(rows)).mean()
    assert mean == pytest.approx(found[best], abs=0.02)  # in batches of another size
    assert any(f"{L1} {found[best]:.4f} after {best} images, the best so far" in line.get("note", "") for line in notes)
    assert notes[-1]["note"].startswith(f"{L1} {found[best]:.3f} at ")
    assert all(line.get("metric_samples", len(rows)) == len(rows) for line in Run(out).read_log())


def test_judging_changes_nothing_and_goes_on_where_it_was(pairs: Pack, tmp_path: Path) -> None:
    whole, parts, unjudged = (tmp_path / name for name in ("whole", "parts", "unjudged"))
    train(plan(tiny("denoise-cpu", metric_kimg=0.04), pairs), whole)
    for kimg in (0.04, 0.08):
        train(plan(tiny("denoise-cpu", metric_kimg=0.04, kimg=kimg), pairs), parts)
    train(plan(tiny("denoise-cpu"), pairs), unjudged)
    assert logged(parts, L1) == logged(whole, L1)
    assert Run(parts).best.read_bytes() == Run(whole).best.read_bytes()
    assert Run(unjudged).generator.read_bytes() == Run(whole).generator.read_bytes()


def test_without_answers_it_is_kid_of_both_directions_by_validation_pictures(two: Pack, out: Path) -> None:
    train(plan(tiny("cyclegan-cpu", metric_kimg=0.08), two), out)
    run = Run(out)
    lines, images = two.gather_sources(two.source_rows("validation")), two.gather(two.rows("validation"))
    there = kid(thumbnails(made(run.best, lines)), thumbnails(images))
    back = kid(thumbnails(made(run.best_of(["a2b", "b2a"])[1], images)), thumbnails(lines))
    assert logged(out, KID)[80] == pytest.approx((there + back) / 2, abs=1e-3)
    assert {path.name for path in out.glob("*.safetensors")} == {
        *("generator.safetensors", "generator.b2a.safetensors"),
        *("generator.best.safetensors", "generator.best.b2a.safetensors"),
    }
    train(plan(tiny("cyclegan-cpu", kimg=0.008), two), out, resume=False)
    assert not [*out.glob("generator.best*")]


def test_who_is_told_no_answers_is_not_chosen_by_them_either(pairs: Pack, tmp_path: Path) -> None:
    many = paired_pack(tmp_path / "many", 200)
    spec = plan(tiny("cyclegan-cpu"), many).spec
    assert measure_of(spec, many, 500, lambda: EXTRACTOR, apart=True).name == KID
    assert measure_of(spec, many, 500, lambda: EXTRACTOR).name == L1
    with pytest.raises(DataError, match=r"holds 10 .* out to choose the best generator by, and that needs at least 16"):
        measure_of(spec, pairs, 500, lambda: EXTRACTOR, apart=True)  # ten


def test_a_pack_that_holds_nothing_out_cannot_choose(pairs: Pack) -> None:
    alone = replace(pairs, parts=None)
    planned = plan(tiny("colourise-cpu"), alone)
    with pytest.raises(DataError, match="or use --metric-every 0"):
        measure_of(planned.spec, alone, 500, lambda: EXTRACTOR)
    assert by_default(planned, 1e6) == (planned, by_default(planned, 0.0)[1])
    assert by_default(planned, 1e6)[1].endswith("import it again with --held 10%")


def test_why_nobody_looks_is_said(tmp_path: Path, two: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    few = plan(tiny("cyclegan-cpu", kimg=100.0), unpaired_pack(tmp_path / "few", 200, 60))
    same, line = by_default(few, 1e6)
    assert same == few
    assert line.startswith(
        "nobody looks while it trains whether results get better: the pack discs holds 6 sources out"
    )
    assert line.endswith("import more, or again with a larger --held, or use --metric-every 0")
    assert by_default(few, 0.0) == (few, "")

    def absent(_device: object) -> Extractor:
        raise MissingDependency("pip install it")

    monkeypatch.setattr(looks, "lite0", absent)
    planned = plan(tiny("cyclegan-cpu", kimg=100.0), two)
    assert by_default(planned, 1e6) == (planned, f"{line.split(':')[0]}: pip install it")


def test_pairs_are_looked_at_often_for_that_costs_next_to_nothing(
    pairs: Pack, two: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(range(1000))
    monkeypatch.setattr(looks, "perf_counter", lambda: 0.1 * next(moments))  # a look takes a tenth of a second
    long = plan(tiny("colourise-cpu", kimg=100.0), pairs)
    chosen, line = by_default(long, 1000.0)  # 30 seconds for looks
    assert chosen.config.metric_kimg == 100 / LOOKS_AT_PAIRS
    assert line.startswith("L1 of 10 validation pairs is taken every 2 kimg (about 0.5% of the time)")
    assert by_default(long, 100.0)[0].config.metric_kimg == 3.5  # 30 of them
    assert by_default(long, 10.0) == (long, "")
    assert by_default(long, 0.0) == (long, "")
    unpaired, line = by_default(plan(tiny("cyclegan-cpu", kimg=100.0), two), 1000.0)
    assert unpaired.config.metric_kimg == 5
    assert line.startswith("KID of 18 validation pictures is taken every 5 kimg")


def test_the_examples_that_travel_are_never_trained_on(pairs: Pack) -> None:
    examples = begin(plan(tiny("colourise-cpu"), pairs)).average.examples
    held = pairs.gather_sources(pairs.rows("held"))
    assert all((held == example).all(axis=(1, 2, 3)).any() for example in examples)
    assert np.unique(examples, axis=0).shape == examples.shape
