"""KID while training, the best generator kept, and TensorBoard."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from core.checkpoint import load_generator, read_spec
from core.errors import ConfigError, DataError, MissingDependency
from tests.trainer.conftest import blobs, tiny_config
from tests.trainer.metrics.conftest import thumbnails
from trainer import training
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.hooks import judging as judge
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import chosen_reals, inputs_like, maker, real_features
from trainer.metrics.kid import kid
from trainer.planning import plan
from trainer.run import KID, Run
from trainer.training import Outcome, train

JUDGED = {"metric_kimg": 0.08, "metric_samples": 16}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> Extractor:
    extractor = Extractor("thumbnails", {}, thumbnails)
    monkeypatch.setattr(judge, "lite0", lambda _device: extractor)
    return extractor


def kids(out: Path) -> dict[int, float]:
    return {line["images"]: line[KID] for line in Run(out).read_log() if KID in line}


def test_kid_goes_to_the_log_and_the_best_generator_into_a_file(pack: Pack, out: Path, cheap: Extractor) -> None:
    notes: list[dict[str, Any]] = []
    train(plan(tiny_config(**JUDGED), pack), out, report=notes.append)
    found = kids(out)
    assert list(found) == [80, 160, 240, 320]
    best = min(found, key=found.__getitem__)
    assert read_spec(Run(out).best).provenance.images_seen == best
    generator = load_generator(Run(out).best)
    inputs = inputs_like(pack, generator.spec, range(16))
    assert kid(thumbnails(maker(generator)(inputs)), real_features(pack, cheap)) == pytest.approx(found[best], abs=2e-6)
    told = [line["note"] for line in notes if "best so far" in line.get("note", "")]
    assert f"{found[best]:.4f}" in told[-1]


def test_a_worse_generator_does_not_replace_the_best(pack: Pack, out: Path) -> None:
    moving = training.begin(plan(tiny_config(), pack))
    run, spec = Run(out), moving.system.spec
    out.mkdir()
    watching = judge.Evaluator(run, spec, pack, 16, torch.device("cpu"), lambda _: None)
    moving.images_seen = 10
    watching(moving)
    kept = run.best.read_bytes()
    with torch.no_grad():
        for parameter in moving.average.parameters():
            parameter.mul_(100)  # noise of full contrast
    moving.images_seen = 20
    watching(moving)
    assert kids(out)[20] > kids(out)[10]
    assert run.best.read_bytes() == kept
    again = judge.Evaluator(run, spec, pack, 16, torch.device("cpu"), lambda _: None)
    assert again.best == watching.best == kids(out)[10]
    run.best.unlink()
    assert judge.Evaluator(run, spec, pack, 16, torch.device("cpu"), lambda _: None).best == float("inf")


def test_what_is_as_good_again_replaces_nothing_and_each_look_is_a_line(
    tmp_path: Path, out: Path, cheap: Extractor
) -> None:
    two = write_pack(tmp_path / "two", blobs(2), None, PackInfo("two", 16, 16, 4))
    moving, notes = training.begin(plan(tiny_config(), two)), []
    run, spec = Run(out), moving.system.spec
    out.mkdir()
    watching = judge.Evaluator(run, spec, two, 16, torch.device("cpu"), notes.append)
    for moving.images_seen in (10, 20):
        watching(moving)
    makes = maker(moving.average)
    expected = round(kid(thumbnails(makes(inputs_like(two, spec, range(16)))), real_features(two, cheap)), 6)
    assert run.read_log() == [{"images": seen, KID: expected, "metric_samples": 16} for seen in (10, 20)]
    assert read_spec(run.best).provenance.images_seen == 10
    assert [line["note"] for line in notes] == [
        f"{KID}: looking at the real images, once for this pack",
        f"{KID} {expected:.4f} after 10 images, the best so far",
        f"{KID} {expected:.4f} after 20 images",
    ]
    run.log.unlink()
    assert judge.Evaluator(run, spec, two, 16, torch.device("cpu"), notes.append).best == float("inf")


def test_one_image_is_no_distribution(tmp_path: Path, out: Path, pack: Pack) -> None:
    one = write_pack(tmp_path / "one", blobs(1), None, PackInfo("one", 16, 16, 4))
    with pytest.raises(DataError, match="too small for KID: use --metric-every 0"):
        judge.Evaluator(Run(out), plan(tiny_config(), pack).spec, one, 16, torch.device("cpu"), lambda _: None)


def test_a_continued_run_knows_the_best_so_far_and_judging_changes_nothing(pack: Pack, tmp_path: Path) -> None:
    whole, parts, unjudged = (tmp_path / name for name in ("whole", "parts", "unjudged"))
    train(plan(tiny_config(**JUDGED), pack), whole)
    for kimg in (0.16, 0.32):
        train(plan(tiny_config(**{**JUDGED, "kimg": kimg}), pack), parts)
    train(plan(tiny_config(), pack), unjudged)
    assert kids(parts) == kids(whole)
    assert Run(parts).best.read_bytes() == Run(whole).best.read_bytes()
    assert not Run(unjudged).best.exists()
    assert Run(unjudged).generator.read_bytes() == Run(whole).generator.read_bytes()


def test_a_run_may_begin_to_be_judged_and_starting_again_forgets(pack: Pack, out: Path) -> None:
    train(plan(tiny_config(kimg=0.16), pack), out)
    assert kids(out) == {}
    assert train(plan(tiny_config(**JUDGED), pack), out) is Outcome.DONE
    assert list(kids(out)) == [240, 320]
    train(plan(tiny_config(kimg=0.04), pack), out, resume=False)
    assert not Run(out).best.exists()
    with pytest.raises(ConfigError, match="metric_samples"):
        replace(tiny_config(), metric_samples=15)


def test_it_says_once_that_kid_stopped_falling_and_at_the_end_what_it_came_to(pack: Pack, out: Path) -> None:
    moving, notes = training.begin(plan(tiny_config(), pack)), []
    run, spec = Run(out), moving.system.spec
    out.mkdir()
    run.append_log({"images": 40, KID: -0.5})  # better than any
    watching = judge.Evaluator(run, spec, pack, 16, torch.device("cpu"), notes.append, settled_kimg=0.2)
    for moving.images_seen in (80, 120, 160, 200, 240, 280, 320):
        watching(moving)
    told = [line["note"] for line in notes if "has not fallen" in line["note"]]
    since = f"{KID} has not fallen for {{}} kimg: best at 0.04 kimg, -0.500; {{}}"
    assert told == [
        since.format("0.12", "what changes by plan until 0.2 kimg may still help"),
        since.format("0.28", "longer will hardly help"),
    ]
    assert notes[-1]["note"] == told[-1]
    again: list[dict[str, Any]] = []
    moving.images_seen = 300
    judge.Evaluator(run, spec, pack, 16, torch.device("cpu"), again.append)(moving)
    assert not any("has not fallen" in line["note"] for line in again)  # it was said before the run was cut


def test_kid_by_some_of_the_real_images_is_by_the_same_ones_again(tmp_path: Path, out: Path, cheap: Extractor) -> None:
    own = write_pack(tmp_path / "own", blobs(40), None, PackInfo("own", 16, 16, 4))
    some = {**JUDGED, "metric_reals": 20}
    train(plan(tiny_config(**some), own), out)
    generator = load_generator(Run(out).generator)
    fakes = thumbnails(maker(generator)(inputs_like(own, generator.spec, range(16))))
    reals = thumbnails(own.gather(chosen_reals(own)[:20]))
    assert kids(out)[320] == pytest.approx(kid(fakes, reals), abs=2e-6)
    assert torch.equal(real_features(own, cheap, most=20), reals)
    assert torch.equal(real_features(own, cheap)[:20], reals)  # the first of all of them
    (own.path / "features").joinpath("thumbnails-other.txt").write_text("mine")
    cut = tmp_path / "cut"
    for kimg in (0.16, 0.32):
        train(plan(tiny_config(**{**some, "kimg": kimg}), own), cut)
    assert kids(cut) == kids(out)


class FakeWriter:
    """What torch.utils.tensorboard.SummaryWriter is told."""

    told: list[tuple[Any, ...]]

    def __init__(self, folder: str, purge_step: int) -> None:
        FakeWriter.told = [("open", folder, purge_step)]

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.told.append((name, step, value))

    def add_image(self, name: str, image: Any, step: int, dataformats: str) -> None:
        self.told.append((name, step, image.shape, dataformats))

    def flush(self) -> None:
        pass


def test_tensorboard_hears_every_line_and_preview_once(pack: Pack, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    for kimg, start in ((0.16, 0), (0.32, 160)):
        train(plan(tiny_config(**{**JUDGED, "kimg": kimg}, tensorboard=True), pack), out)
        told = FakeWriter.told
        assert told[0] == ("open", str(out / "tensorboard"), start + 1)
        assert [step for name, step, *_ in told if name == "generator/loss"] == list(range(start + 40, start + 161, 40))
        assert [step for name, step, *_ in told if name == KID] == [start + 80, start + 160]
        assert [t for t in told if t[0] == "samples"] == [("samples", start + 160, (249, 156, 3), "HWC")]


def test_without_tensorboard_it_says_so(pack: Pack, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingDependency, match="pip install tensorboard"):
        train(plan(tiny_config(tensorboard=True), pack), out)
