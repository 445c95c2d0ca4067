"""Translators without pairs: there, and back again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import ConfigError, DataError
from core.images import Images
from core.spec import BACK, THERE, GeneratorSpec, SourceSpec
from tests.trainer.metrics.conftest import thumbnails
from tests.trainer.pairs import paired_pack, unpaired_pack
from trainer.data.pack import Pack
from trainer.metrics.domains import DirectionFigures, evaluate_domains, gone, grade, table, verdict_of
from trainer.metrics.extractor import Extractor
from trainer.metrics.kid import kid
from trainer.metrics.translators import judge

A2B = GeneratorSpec("unet", 16, 16, 4, 0, kind="image", source=SourceSpec(16, 16, 4))
B2A = replace(A2B, source=SourceSpec(16, 16, 4, origin="images"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Two hundred discs, forty held out, and the outlines of 180 others, 36 held out."""
    return unpaired_pack(tmp_path_factory.mktemp("two") / "pack", 200, 180)


def silent(_: str) -> Any:
    return lambda *_: None


def mirrored(inputs: dict[str, Images]) -> Images:
    return np.ascontiguousarray(inputs["source"][:, :, ::-1])


def dimmed(inputs: dict[str, Images]) -> Images:
    return inputs["source"] // 2


def held(two: Pack) -> tuple[Images, Images]:
    return two.gather_sources(two.source_rows("held")), two.gather(two.rows("held"))


def test_an_exact_inverse_leads_home(two: Pack, extractor: Extractor) -> None:
    evaluation, journeys = evaluate_domains([(mirrored, A2B), (mirrored, B2A)], two, extractor, 500, silent)
    assert [*evaluation.figures] == [THERE, BACK]
    assert [each.cycle for each in evaluation.figures.values()] == [0, 0]
    assert (journeys[THERE].back == journeys[THERE].sources).all()
    dim, _ = evaluate_domains([(dimmed, A2B), (mirrored, B2A)], two, extractor, 500, silent)
    assert min(each.cycle for each in dim.figures.values()) > 1


def test_figures_by_hand(two: Pack, extractor: Extractor) -> None:
    evaluation, _ = evaluate_domains([(dimmed, A2B), (mirrored, B2A)], two, extractor, 500, silent)
    (lines, discs), found = held(two), evaluation.figures
    reals = [thumbnails(two.gather(two.rows("train"))), thumbnails(two.gather_sources(two.source_rows("train")))]
    assert found[THERE].kid == pytest.approx(kid(thumbnails(lines // 2), reals[0]))
    assert found[THERE].source_kid == pytest.approx(kid(thumbnails(lines), reals[0]))
    assert found[BACK].kid == pytest.approx(kid(thumbnails(discs[:, :, ::-1]), reals[1]))
    assert found[THERE].ground == pytest.approx(0, abs=0.05)
    half = (discs // 2).astype(float)
    exact = np.concatenate([half[..., :3] * half[..., 3:] / 255, half[..., 3:]], axis=3)
    whole = np.concatenate([discs[..., :3] * (discs[..., 3:] / 255.0), discs[..., 3:]], axis=3)
    assert found[THERE].identity == pytest.approx(np.abs(exact - whole).mean(), rel=1e-5)


def test_one_direction_alone_has_no_way_back(tmp_path: Path, extractor: Extractor) -> None:
    pack = unpaired_pack(tmp_path / "pack", 100, 90)
    evaluation, journeys = evaluate_domains([(mirrored, B2A)], pack, extractor, 500, silent)
    assert [*evaluation.figures] == [BACK]
    assert evaluation.figures[BACK].cycle is None
    assert evaluation.figures[BACK].identity is not None
    assert journeys[BACK].back is None
    heads, rows = table(evaluation)
    assert heads == ["", BACK]
    assert [row[0] for row in rows][-1] == "L1 of what is there already"
    assert len(rows) == 4


def test_the_words_are_of_how_far_the_worse_direction_has_gone(two: Pack, extractor: Extractor) -> None:
    good, some, bad = (DirectionFigures(kid, 0.1, 0.0, 1.0, 1.0) for kid in (0.02, 0.06, 0.12))
    assert [grade(each) for each in (good, some, bad)] == ["good", "some", "nothing"]
    assert gone(good) == pytest.approx(0.8)
    evaluation, _ = evaluate_domains([(mirrored, A2B)], two, extractor, 500, silent)
    verdict = verdict_of(replace(evaluation, figures={THERE: good, BACK: some}))
    assert verdict.grade == "some"
    assert verdict.remarks == (
        "sources to images: results have gone 80% of the way",
        "images to sources: results have gone 40% of the way",
        "it was trained on another pack: whether it has seen these pictures there is not known",
    )


def test_the_file_and_the_picture(two: Pack, extractor: Extractor) -> None:
    judged = judge([(mirrored, A2B), (dimmed, B2A)], two, extractor, 500, silent)
    written = json.loads(judged.evaluation.to_json())
    assert written["figures"][THERE].keys() == {
        *("KID-thumbnails", "KID-thumbnails_of_the_sources_as_they_are"),
        *("KID-thumbnails_of_two_halves_of_the_real_images", "cycle_l1", "identity_l1"),
    }
    assert written["protocol"]["pictures"] == {THERE: {"held": 36, "known": 140}, BACK: {"held": 40, "known": 126}}
    assert len(json.loads(judged.picture.info["Layout"])["places"]) == 2 * 8 * 3
    assert not judged.good


def test_what_cannot_be_judged_is_said(two: Pack, tmp_path: Path, extractor: Extractor) -> None:
    few = unpaired_pack(tmp_path / "few", 40, 30)
    with pytest.raises(DataError, match="holds 6 sources or images out: judging by them needs at least 16"):
        judge([(mirrored, A2B)], few, extractor, 500, silent)
    with pytest.raises(ConfigError, match="--samples 15: at least 16"):
        judge([(mirrored, A2B)], two, extractor, 15, silent)
    pairs = paired_pack(tmp_path / "pairs", 100)
    plain = replace(pairs, info=replace(pairs.info, sources=None), sources=None)
    with pytest.raises(DataError, match="has no sources to translate: 'data import"):
        judge([(mirrored, A2B)], plain, extractor, 500, silent)
    assert judge([(mirrored, A2B)], pairs, extractor, 500, silent).tables[0][0][1] == "model"


def test_by_pairs_both_ways_are_judged_too(tmp_path: Path, extractor: Extractor) -> None:
    pairs, ways = paired_pack(tmp_path / "pairs", 100), [(mirrored, A2B), (dimmed, B2A)]
    judged = judge(ways, pairs, extractor, 500, silent)
    whole, _ = evaluate_domains(ways, pairs, extractor, 500, silent)
    written = json.loads(judged.evaluation.to_json())
    assert written["figures"].keys() >= {"l1", "psnr"} and written["direction"] == THERE
    assert written["there_and_back"]["figures"] == json.loads(whole.to_json())["figures"]
    assert written["there_and_back"]["protocol"]["pictures"][BACK] == {"held": 20, "known": 70}
    assert judged.tables[1] == table(whole)
    assert {*verdict_of(whole).remarks} <= {*judged.evaluation.verdict.remarks}
    assert len({*judged.evaluation.verdict.remarks}) == len(judged.evaluation.verdict.remarks)
    few = judge(ways, paired_pack(tmp_path / "few", 40), extractor, 500, silent)
    assert len(few.tables) == 1
    assert "judging by them needs at least 16" in few.evaluation.verdict.remarks[-1]


def test_real_pictures_are_looked_at_once(two: Pack, extractor: Extractor) -> None:
    evaluate_domains([(mirrored, A2B)], two, extractor, 500, silent)
    counted: list[int] = []
    once = replace(extractor, features=lambda images: counted.append(len(images)) or extractor.features(images))
    evaluate_domains([(mirrored, A2B)], two, once, 500, silent)
    assert sum(counted) == 2 * 36  # results and sources, no real ones
