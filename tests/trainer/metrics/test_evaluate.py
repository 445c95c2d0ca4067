"""A generator against a pack: what is compared, what is kept, what is written, what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from core.contract import sample_inputs
from core.errors import ConfigError, DataError
from core.images import Images
from core.networks import build_generator
from core.networks.base import Generator
from core.pixels import to_pixels
from core.spec import GeneratorSpec
from tests.trainer.conftest import blobs
from tests.trainer.metrics.conftest import thumbnails
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.metrics.evaluate import evaluate, results_path, save_results
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import chosen_reals, inputs_like, maker, real_features
from trainer.metrics.memorisation import Memorisation, draw, find_copies

SPEC = GeneratorSpec("dcgan", 16, 16, 4, 8, options={"width": 4})


@pytest.fixture
def own_pack(tmp_path: Path) -> Pack:
    """Of this test alone: features are kept in it."""
    return write_pack(tmp_path / "pack", blobs(80), None, PackInfo("discs", 16, 16, 4))


def silent(_: str) -> Any:
    return lambda *_: None


def lively_generator() -> Generator:
    """Untrained, its weights so large that every latent has an image of its own."""
    torch.manual_seed(0)
    generator = build_generator(SPEC).eval()
    with torch.no_grad():
        for weight in generator.parameters():
            weight.mul_(5)
    return generator


def painter(images: Images) -> Any:
    """A generator that gives the next of ``images`` for every latent, whatever the batch: it knows them by z."""
    index = {sample_inputs(SPEC, [seed])["z"].tobytes(): image for seed, image in enumerate(images)}
    return lambda inputs: np.stack([index[row.tobytes()] for row in inputs["z"]])


def test_real_images_score_like_their_own_halves_and_noise_does_not(own_pack: Pack, extractor: Extractor) -> None:
    good, _ = evaluate(painter(blobs(60, seed=5)), SPEC, own_pack, extractor, 60, 0, silent)
    noise = np.random.RandomState(0).randint(0, 256, (60, 16, 16, 4)).astype(np.uint8)
    bad, _ = evaluate(painter(noise), SPEC, own_pack, extractor, 60, 0, silent)
    assert abs(good.figures.kid) < 0.01 < bad.figures.kid
    assert good.figures.frechet < 1 < bad.figures.frechet
    assert good.figures.precision > 0.5
    assert (bad.figures.precision, bad.figures.recall) == (0, 0)
    assert good.ground == bad.ground
    assert abs(good.ground.kid) < 0.01


def test_the_same_again_and_everything_it_rests_on_is_in_the_file(
    own_pack: Pack, extractor: Extractor, tmp_path: Path
) -> None:
    make = maker(lively_generator())
    first, picture = evaluate(make, SPEC, own_pack, extractor, 40, 7, silent)
    again, _ = evaluate(make, SPEC, own_pack, extractor, 40, 7, silent)
    assert first.to_json() == again.to_json()
    other, _ = evaluate(make, SPEC, own_pack, extractor, 40, 8, silent)
    assert other.figures != first.figures
    save_results(first, picture, tmp_path / "results" / "x.json")
    written = json.loads((tmp_path / "results" / "x.json").read_text())
    assert written["thumbnails"]["kid"] == first.figures.kid
    assert written["protocol"]["seeds"] == [7, 46]
    assert written["protocol"]["samples"] == 40
    assert written["protocol"]["real_images"] == 80
    assert written["protocol"]["resize"] == "means of a 4x4 grid"
    assert written["data"] == {
        "name": "discs",
        "fingerprint": own_pack.info.fingerprint,
        "trained_on_these": False,
    }
    assert (tmp_path / "results" / "x.png").is_file()


def test_features_of_a_pack_are_taken_once(own_pack: Pack, extractor: Extractor) -> None:
    seen = 0

    def counting(images: Images) -> torch.Tensor:
        nonlocal seen
        seen += len(images)
        return thumbnails(images)

    counted = replace(extractor, features=counting)
    first = real_features(own_pack, counted)
    assert torch.equal(first, thumbnails(own_pack.gather(chosen_reals(own_pack))))
    assert torch.equal(real_features(own_pack, counted), first)
    assert seen == 80
    real_features(own_pack, replace(counted, protocol={"resize": "another"}))
    assert seen == 160
    for kept in (own_pack.path / "features").iterdir():
        kept.write_bytes(kept.read_bytes()[:-4])
    assert torch.equal(real_features(own_pack, counted), first)
    assert seen == 240
    Pack.open(own_pack.path).verify()


def test_a_pack_that_cannot_be_written_to_is_read_all_the_same(
    own_pack: Pack, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("trainer.metrics.features.write_atomic", refuse)
    assert len(real_features(own_pack, extractor)) == 80


def test_planted_copies_are_found_and_originals_are_not(own_pack: Pack, extractor: Extractor) -> None:
    chosen = chosen_reals(own_pack)
    planted = {3: 11, 20: 0, 38: 63}  # sample: row of the real features
    made = blobs(40, seed=9)
    for sample, row in planted.items():
        made[sample] = own_pack.images[chosen[row]]
    evaluation, picture = evaluate(painter(made), SPEC, own_pack, extractor, 40, 0, silent)
    copies = evaluation.copies
    found = dict(zip(copies.samples[:3].tolist(), copies.reals[:3, 0].tolist(), strict=True))
    assert found == planted
    assert copies.distances[:3, 0] == pytest.approx(0, abs=1e-5)
    assert copies.distances[3, 0] > 0.05
    assert (np.diff(copies.distances[:, 0]) >= 0).all()
    assert (np.diff(copies.distances, axis=1) >= 0).all()
    assert copies.suspicious == pytest.approx(3 / 40, abs=1 / 40)
    assert copies.percentiles[0] == 0
    assert picture.width > picture.height > 16 * 8


@pytest.mark.parametrize("twins", [0.01, 0.1, 0.6])
def test_images_learned_by_heart_are_copies_however_many_of_the_pack_are_twins(twins: float) -> None:
    torch.manual_seed(0)
    originals = thumbnails(blobs(200))
    doubled = originals[: round(200 * twins / (2 - twins) + 0.5)]  # so that this share of the whole has a twin
    reals = torch.cat([originals, doubled])[torch.randperm(200 + len(doubled))]
    by_heart = originals[torch.randperm(200)[:100]]
    assert find_copies(by_heart, reals).suspicious == 1
    fresh = thumbnails(blobs(200, seed=5))
    assert find_copies(fresh, reals).suspicious == find_copies(fresh, originals).suspicious < 0.06
    assert find_copies(fresh, reals).between == pytest.approx(find_copies(fresh, originals).between)


def test_all_figures_of_a_pack_with_twins(tmp_path: Path, extractor: Extractor) -> None:
    """Precision, recall and the ground are those of the pack without its twins; KID and Fréchet weigh them."""
    once = write_pack(tmp_path / "once", blobs(80), None, PackInfo("discs", 16, 16, 4))
    again = np.concatenate([blobs(80), blobs(80)[:40]])
    twice = write_pack(tmp_path / "twice", again, None, PackInfo("discs", 16, 16, 4))
    (good, _), (other, _) = (
        evaluate(painter(blobs(60, seed=5)), SPEC, p, extractor, 60, 0, silent) for p in (once, twice)
    )
    assert other.facts["protocol"]["real_images"] == 120
    assert other.facts["protocol"]["distinct_real_images"] == 80
    assert other.figures.precision == pytest.approx(good.figures.precision, abs=0.15)
    assert other.figures.recall == pytest.approx(good.figures.recall, abs=0.15)
    assert other.ground.precision < 0.95  # twins in both halves would make it nearly 1
    few = write_pack(tmp_path / "few", np.repeat(blobs(20), 2, axis=0), None, PackInfo("few", 16, 16, 4))
    with pytest.raises(DataError, match="the pack few has 20 distinct images: judging by it needs at least 32"):
        evaluate(painter(blobs(40)), SPEC, few, extractor, 40, 0, silent)


class Pen:
    """Notes what is written on a page, and where, instead of writing it."""

    def __init__(self) -> None:
        self.texts: list[tuple[tuple[int, int], str]] = []

    def text(self, place: tuple[int, int], words: str, *_: object) -> None:
        self.texts.append((place, words))


def test_the_picture_shows_each_sample_beside_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows on the left and two on the right, of images 8 times as large, pixel by pixel."""
    monkeypatch.setattr("trainer.metrics.memorisation.ImageDraw.Draw", lambda _: pen)
    pen, random = Pen(), np.random.RandomState(0)
    samples, reals = (random.randint(0, 256, (5, *shape, 3), np.uint8) for shape in ((8, 12), (4, 8, 12)))
    near = np.array([[0.123, 1, 2, 3]] * 4 + [[9.876, 10, 11, 12]])
    found = Memorisation(np.arange(5), near, near, np.array([0, 0, 0, 0, 12.34]), {1: 0.5, 25: 1.5}, 0.0)
    page = draw(found, samples, list(reals))
    expected = np.full((28 + 3 * 102, 2 * (5 * 102 + 4 * 6 + 230), 3), 255, np.uint8)
    for row, images in enumerate(zip(samples, *reals.swapaxes(0, 1), strict=True)):
        left, top = (0 if row < 3 else 764), 28 + 102 * (row % 3)
        for image, across in zip(images, (6, 126, 228, 330, 432), strict=True):
            large = image.repeat(8, axis=0).repeat(8, axis=1)
            expected[top : top + 64, left + across : left + across + 96] = large
    assert np.array_equal(np.asarray(page), expected)
    assert pen.texts[0] == ((6, 7), "Real images from their nearest other one: 0.50 (1 %), 1.50 (25 %)")
    assert pen.texts[1] == ((540, 62), "0.12 away; 0.0 % of\nreal images have one as near")
    assert pen.texts[5] == ((1304, 164), "9.88 away; 12.3 % of\nreal images have one as near")
    assert len(pen.texts) == 6
    huge = draw(found, np.zeros((1, 97, 4, 4), np.uint8), [np.zeros((1, 97, 4, 4), np.uint8)])
    assert huge.size == (2 * (5 * 103 + 4 * 6 + 230), 28 + 103)  # as large as it is, over a chequerboard
    assert len(huge.crop((6, 28, 10, 125)).getcolors() or ()) == 2


def test_a_page_s_words_are_black_and_beside_the_images() -> None:
    found = Memorisation(np.arange(1), np.ones((1, 4)), np.ones((1, 4)), np.ones(1), {1: 0.5}, 0.0)
    white = np.full((4, 8, 8, 3), 255, np.uint8)
    page = np.asarray(draw(found, white[:1], [white])).min(axis=-1)
    assert page.min() == 0
    written = page < 255
    head, beside = written[:28, 6:], written[62:98, 540:764]
    assert head.any()
    assert beside.any()
    assert written.sum() == head.sum() + beside.sum()


def test_classes_come_as_often_as_in_the_data(tmp_path: Path, extractor: Extractor) -> None:
    info = PackInfo("discs", 16, 16, 4, classes=("rare", "common"))
    pack = write_pack(tmp_path / "pack", blobs(40), [0] * 4 + [1] * 36, info)
    spec = replace(SPEC, classes=("rare", "common"))
    labels = inputs_like(pack, spec, range(1000))["label"]
    assert labels.shape == (1000, 1)
    assert labels.mean() == pytest.approx(0.9, abs=0.04)
    generator = build_generator(spec).eval()
    inputs = {name: value[:5] for name, value in inputs_like(pack, spec, range(1000)).items()}
    with torch.no_grad():
        expected = generator(torch.from_numpy(inputs["z"]), torch.from_numpy(inputs["label"][:, 0]))
    assert np.array_equal(maker(generator)(inputs), to_pixels(expected, spec.value_range).numpy())
    with pytest.raises(DataError, match="other classes"):
        inputs_like(pack, replace(SPEC, classes=("common", "rare")), range(4))


def test_features_are_taken_a_few_at_a_time_and_kept_with_what_they_rest_on(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "pack", blobs(70), None, PackInfo("discs", 16, 16, 4))
    told: list[tuple[int, int]] = []
    counts: list[int] = []

    def counted(images: np.ndarray) -> torch.Tensor:
        counts.append(len(images))
        return thumbnails(images)

    found = real_features(pack, Extractor("thumbnails", {"a": 1, "b": 2}, counted), lambda *done: told.append(done))
    assert told == [(32, 70), (64, 70), (70, 70)]
    assert torch.equal(found, thumbnails(pack.gather(chosen_reals(pack))))
    (kept,) = (pack.path / "features").iterdir()
    with safe_open(kept, "pt") as file:
        assert json.loads(file.metadata()["facts"]) == [pack.info.fingerprint, "thumbnails", {"a": 1, "b": 2}, 10_000]
    counts.clear()
    assert torch.equal(real_features(pack, Extractor("thumbnails", {"b": 2, "a": 1}, counted)), found)
    assert counts == []  # the same protocol in another order
    for damage in (found[:-1], torch.full_like(found, torch.nan)):
        save_file({"features": damage}, kept)
        assert torch.equal(real_features(pack, Extractor("thumbnails", {"a": 1, "b": 2}, counted)), found)


def test_no_more_than_ten_thousand_real_images_are_looked_at() -> None:
    rows = chosen_reals(range(10_100))
    assert len(rows) == len(set(rows.tolist())) == 10_000
    assert rows.max() > 10_000  # of all of them


def test_codes_are_those_of_training_and_repeat_no_latent(own_pack: Pack) -> None:
    inputs = inputs_like(own_pack, replace(SPEC, codes=3), range(2000))
    codes = inputs["codes"]
    assert (codes.shape, codes.dtype) == ((2000, 3), np.float32)
    assert codes.min(axis=0) == pytest.approx(-1, abs=0.01)
    assert codes.max(axis=0) == pytest.approx(1, abs=0.01)
    assert codes.mean(axis=0) == pytest.approx(0, abs=0.05)
    assert np.square(codes).mean(axis=0) == pytest.approx(1 / 3, abs=0.03)  # uniform
    assert np.abs(np.corrcoef(codes.T, inputs["z"].T) - np.eye(3 + SPEC.latent_dim)).max() < 0.1
    assert np.array_equal(codes, inputs_like(own_pack, replace(SPEC, codes=3), range(2000))["codes"])


def test_refuses_what_cannot_be_compared(own_pack: Pack, extractor: Extractor, tmp_path: Path) -> None:
    make = painter(blobs(40))
    with pytest.raises(DataError, match="makes 16x32 images of 4 channels, the pack discs holds 16x16 of 4"):
        evaluate(make, replace(SPEC, height=32), own_pack, extractor, 40, 0, silent)
    with pytest.raises(DataError, match="--channels"):
        evaluate(make, replace(SPEC, channels=3), own_pack, extractor, 40, 0, silent)
    with pytest.raises(ConfigError, match="at least 16 samples"):
        evaluate(make, SPEC, own_pack, extractor, 15, 0, silent)
    with pytest.raises(ConfigError, match="seeds up to"):
        evaluate(make, SPEC, own_pack, extractor, 40, 2**32 - 10, silent)
    few = write_pack(tmp_path / "few", blobs(31), None, PackInfo("few", 16, 16, 4))
    with pytest.raises(DataError, match="at least 32"):
        evaluate(make, SPEC, few, extractor, 40, 0, silent)


def test_results_go_into_a_run_and_beside_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, bundle = tmp_path / "run", tmp_path / "v1.2"
    run.mkdir()
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    weights = run / "generator.best.safetensors"
    weights.write_bytes(b"")
    assert results_path(run) == run / "evaluation.json"
    assert results_path(weights) == run / "generator.best.evaluation.json"
    assert results_path(bundle) == tmp_path / "v1.2.evaluation.json"
    assert results_path(bundle, tmp_path / "x.json") == tmp_path / "x.json"
    monkeypatch.chdir(tmp_path)  # what is given as a part of a path is said so
    assert results_path(run.relative_to(tmp_path)) == run.relative_to(tmp_path) / "evaluation.json"
    assert results_path(Path(bundle.name)) == Path("v1.2.evaluation.json")
    monkeypatch.chdir(bundle)
    assert results_path(Path()) == tmp_path / "v1.2.evaluation.json"
    with pytest.raises(ConfigError, match="sealed"):
        results_path(Path(), Path("x.json"))
    with pytest.raises(ConfigError, match="sealed"):
        results_path(bundle, bundle / "x.json")
