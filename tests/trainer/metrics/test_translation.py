"""A translator against held-out pairs: figures beside those of the baselines, the verdict, the picture."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import DataError
from core.images import Images
from core.spec import GeneratorSpec, SourceSpec
from tests.trainer.metrics.conftest import thumbnails
from tests.trainer.pairs import paired_pack, unpaired_pack
from trainer.data.pack import Pack
from trainer.metrics.baselines import FLOOD, IDENTITY, MEAN, NEAREST
from trainer.metrics.beaten import beaten, compared, grade, leading, table
from trainer.metrics.extractor import Extractor
from trainer.metrics.held import pairs_of
from trainer.metrics.kid import kid
from trainer.metrics.pairs import l1
from trainer.metrics.translation import MODEL, PairEvaluation, PairFigures, Translations, evaluate_pairs
from trainer.metrics.translation_sheet import draw, shown

SPEC = GeneratorSpec("unet", 16, 16, 4, 0, kind="image", source=SourceSpec(16, 16, 4))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A hundred discs and their outlines, twenty held out."""
    return paired_pack(tmp_path_factory.mktemp("pairs") / "pack", 100)


def silent(_: str) -> Any:
    return lambda *_: None


def knowing(pack: Pack, wrong: int = 0) -> Any:
    """A translator that knows every answer, each alpha value ``wrong`` by so many levels."""
    answers = {pack.gather_sources([row]).tobytes(): pack.gather([row])[0] for row in range(len(pack))}

    def make(inputs: dict[str, Images]) -> Images:
        made = np.stack([answers[source.tobytes()] for source in inputs["source"]]).astype(int)
        made[..., 3] = np.abs(made[..., 3] - wrong)
        return made.astype(np.uint8)

    return make


def judged(
    make: Any, pack: Pack, extractor: Extractor, spec: GeneratorSpec = SPEC
) -> tuple[PairEvaluation, Translations]:
    known, held = pairs_of(pack, spec, "train"), pairs_of(pack, spec, "held")
    return evaluate_pairs(make, spec, pack, known, held, extractor, silent)


def test_who_knows_the_answers_beats_every_baseline(pairs: Pack, extractor: Extractor) -> None:
    evaluation, made = judged(knowing(pairs), pairs, extractor)
    assert [*evaluation.figures] == [MODEL, IDENTITY, MEAN, NEAREST, FLOOD]
    means = evaluation.figures[MODEL].means()
    assert means["l1"] == means["filled"] == means["features"] == 0
    assert (means["iou"], means["ssim"]) == (1, pytest.approx(1))
    assert means["kid"] == evaluation.targets_kid
    assert grade(evaluation.figures) == "good"
    assert beaten(evaluation.figures) == (
        "it beats identity, mean image and nearest neighbour on L1, L1 inside filled regions and alpha IoU",
        "flood fill is as good in alpha IoU (1.000 against 1.000)",
    )
    assert len(made.targets) == 20
    assert (made.results[MODEL] == made.targets).all()


def test_figures_are_of_held_out_pairs_and_kid_is_by_targets_to_train_on(pairs: Pack, extractor: Extractor) -> None:
    evaluation, made = judged(knowing(pairs, wrong=30), pairs, extractor)
    held = np.sort(pairs.rows("held"))
    order = [held[(pairs.gather_sources(held) == source).all(axis=(1, 2, 3))][0] for source in made.sources]
    assert sorted(order) == held.tolist()
    assert (made.targets == pairs.gather(order)).all()
    assert evaluation.figures[MODEL].l1 == pytest.approx(l1(made.results[MODEL], pairs.gather(order)))
    reals = thumbnails(pairs.gather(pairs.rows("train")))
    assert evaluation.figures[IDENTITY].kid == pytest.approx(kid(thumbnails(made.sources), reals))
    assert evaluation.targets_kid == pytest.approx(kid(thumbnails(made.targets), reals))


def test_the_source_as_it_is_beats_nothing(pairs: Pack, extractor: Extractor) -> None:
    evaluation, _ = judged(lambda inputs: inputs["source"], pairs, extractor)
    assert grade(evaluation.figures) == "nothing"
    assert any(line.startswith("identity is as good in L1 (") for line in beaten(evaluation.figures))
    assert any(line.startswith("flood fill is better in L1 (") for line in beaten(evaluation.figures))


def test_a_figure_is_won_by_more_than_chance_or_not_at_all() -> None:
    flat = np.full(100, 10.0)
    noise = np.random.RandomState(0).normal(0, 1, 100)
    one = PairFigures(flat, flat + 1, flat / 20, flat, flat, flat, None)
    assert compared(one, replace(one, l1=flat + 1), "l1") == 1
    assert compared(one, replace(one, l1=flat - 1), "l1") == -1
    assert compared(one, replace(one, l1=flat + noise - noise.mean() + 0.1), "l1") == 0
    assert compared(one, replace(one, iou=flat / 10), "iou") == -1
    other = replace(one, l1=flat + 2, filled=flat + 2)
    assert grade({MODEL: one, "a": other}) == "good"
    assert grade({MODEL: one, "a": replace(other, iou=flat / 15)}) == "mixed"
    assert beaten({MODEL: one, "a": other}) == ("a is as good in alpha IoU (0.500 against 0.500)",)
    assert grade({MODEL: one, "a": replace(one, filled=flat + 2)}) == "nothing"
    nothing = np.full(100, np.nan)
    assert leading({MODEL: replace(one, iou=nothing, filled=flat)}) == ["l1"]


def test_results_of_other_sizes_and_channels_are_judged_too(tmp_path: Path, extractor: Extractor) -> None:
    pack = paired_pack(tmp_path / "pack", 60, side=16, channels=3, source_side=8, source_channels=1)
    spec = replace(SPEC, channels=3, source=SourceSpec(8, 8, 1))
    evaluation, made = judged(
        lambda inputs: np.full((len(inputs["source"]), 16, 16, 3), 9, np.uint8), pack, extractor, spec
    )
    assert made.results[IDENTITY].shape == made.targets.shape == (12, 16, 16, 3)
    assert evaluation.figures[MODEL].means()["iou"] is None
    assert evaluation.figures[MODEL].kid is None  # of twelve
    heads, rows = table(evaluation)
    assert heads[:3] == ["", MODEL, IDENTITY]
    assert not any(row[0] in ("alpha IoU", "KID-thumbnails") for row in rows)


def test_everything_it_rests_on_is_in_the_file_and_it_is_the_same_again(pairs: Pack, extractor: Extractor) -> None:
    first, made = judged(knowing(pairs, wrong=9), pairs, extractor)
    again, _ = judged(knowing(pairs, wrong=9), pairs, extractor)
    assert first.to_json() == again.to_json()
    written = json.loads(first.to_json())
    assert [*written["figures"]][:3] == ["l1", "filled", "iou"]
    assert [*written["baselines"]] == [IDENTITY, MEAN, NEAREST, FLOOD]
    assert {"KID-thumbnails", "thumbnails_distance"} <= written["figures"].keys()
    assert (written["protocol"]["pairs"], written["protocol"]["known"]) == (20, 70)
    assert not written["data"]["trained_on_these"]
    assert written["direction"] == "sources to images"
    picture = draw(made, first.figures[MODEL].l1)
    places = json.loads(picture.info["Layout"])["places"]
    assert len(places) == 15 * 4  # the best, the median and the worst; with the flood fill


def test_the_best_the_median_and_the_worst_are_shown() -> None:
    errors = np.random.RandomState(0).permutation(101).astype(float)
    rows = shown(errors)
    assert errors[[rows["best 1"], rows["best 5"], rows["median 3"], rows["worst 5"], rows["worst 1"]]].tolist() == [
        0,
        4,
        50,
        96,
        100,
    ]
    assert [*shown(np.array([3.0, 1.0]))] == ["1.", "2."]


def test_what_cannot_be_judged_is_said(pairs: Pack, tmp_path: Path, extractor: Extractor) -> None:
    make = knowing(pairs)
    with pytest.raises(DataError, match="takes pictures of 8x16 in 4 channels, the pack discs holds sources of 16x16"):
        judged(make, pairs, extractor, replace(SPEC, source=SourceSpec(16, 8, 4)))
    with pytest.raises(DataError, match="makes pictures of 16x16 in 3 channels"):
        judged(make, pairs, extractor, replace(SPEC, channels=3))
    with pytest.raises(DataError, match="holds no pairs: 'data import"):
        judged(make, unpaired_pack(tmp_path / "two"), extractor)
    alone = replace(pairs, parts=None)
    with pytest.raises(DataError, match="holds no pairs out to judge by: import it again with --held 10%"):
        judged(make, alone, extractor)


def test_the_way_back_is_judged_by_the_sources(pairs: Pack, extractor: Extractor) -> None:
    spec = replace(SPEC, source=SourceSpec(16, 16, 4, origin="images"))
    evaluation, made = judged(lambda inputs: inputs["source"], pairs, extractor, spec)
    assert [*evaluation.figures] == [MODEL, IDENTITY, MEAN, NEAREST]  # colours are no line art
    held = pairs_of(pairs, spec, "held")
    assert (made.targets == pairs.gather_sources(held.rows)).all()
    assert (made.sources == pairs.gather(held.rows)).all()


def test_what_was_corrupted_is_judged_by_what_it_was_and_by_its_row_alone(pairs: Pack, extractor: Extractor) -> None:
    spec = replace(SPEC, source=SourceSpec(16, 16, 4, origin="noise 50"))
    held = pairs_of(pairs, spec, "held")
    sources, targets = held.all()
    assert (targets == pairs.gather(held.rows)).all()
    assert (sources != targets).any(axis=(1, 2, 3)).all()
    assert (held.sources(held.rows[3:5]) == sources[3:5]).all()
    evaluation, _ = judged(lambda inputs: inputs["source"], pairs, extractor, spec)
    assert evaluation.figures[MODEL].means()["l1"] == evaluation.figures[IDENTITY].means()["l1"] > 5
