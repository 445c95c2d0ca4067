"""What is advised in situations whose remedy one knows; every command is one that the command line takes."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.metrics.advice import MOST, Situation, advise, situation
from trainer.presets import resolve
from trainer.run import KID, Run
from trainer.settings.config import TrainConfig

FALLING = (0.4, 0.3, 0.2, 0.1)
STUCK = (0.4, 0.1, 0.12, 0.13, 0.14)


def after(
    tmp_path: Path, kids: tuple[float, ...], told: float = 0.93, images: int = 2000, **config: object
) -> Situation:
    """A run of dcgan-cpu at its end, 90 kimg."""
    run = tmp_path / "my run"
    run.mkdir(exist_ok=True)
    every = 90_000 // max(len(kids), 1)
    log = [{"images": every * n, KID: kid} for n, kid in enumerate(kids, 1)]
    log += [{"images": 90_000, "discriminator/told_apart": told}] * 9
    chosen: TrainConfig = resolve("dcgan-cpu", **config)
    return Situation(run, Path("pack"), images, run, chosen, log)


def commands(at: Situation, good: bool = False, suspicious: float = 0.0) -> list[str]:
    steps = advise(at, good, suspicious)
    assert len(steps) <= MOST + 1
    return [step.command.replace(str(at.run), "RUN") for step in steps]


def test_what_still_falls_is_trained_on(tmp_path: Path) -> None:
    assert commands(after(tmp_path, FALLING)) == ["ganfoundry train pack --out 'RUN' --kimg 135"]
    assert "ganfoundry train pack --out 'RUN' --kimg 135" in commands(after(tmp_path, ()))


def test_what_was_cut_short_is_trained_to_its_length(tmp_path: Path) -> None:
    at = after(tmp_path, FALLING)
    short = Situation(at.judged, at.pack, 2000, at.run, at.config, at.log[:2])
    (step,) = advise(short, good=False, suspicious=0.0)
    assert "it has seen 45 of the 90 thousand" in step.what
    assert step.command.endswith("--kimg 90")


def test_a_discriminator_that_won_is_held_flatter_but_not_a_critic(tmp_path: Path) -> None:
    assert "ganfoundry train pack --out 'RUN' --kimg 135 --set r1_gamma=2" in commands(
        after(tmp_path, STUCK, told=0.98)
    )
    critic = after(tmp_path, STUCK, told=0.98, loss="wasserstein")
    assert not any("r1_gamma" in command for command in commands(critic))
    assert not any("r1_gamma" in command for command in commands(after(tmp_path, FALLING, told=0.98)))
    unpenalised = after(tmp_path, STUCK, told=0.98, penalty="none")
    assert any("--set r1_gamma=1" in command for command in commands(unpenalised))


def test_one_that_is_held_too_flat_is_let_closer(tmp_path: Path) -> None:
    assert "ganfoundry train pack --out 'RUN' --kimg 135 --set r1_gamma=0.05" in commands(
        after(tmp_path, STUCK, told=0.8)
    )
    assert not any("r1_gamma" in command for command in commands(after(tmp_path, STUCK, told=0.93)))


def test_of_two_discriminators_the_one_that_tells_more_counts(tmp_path: Path) -> None:
    at = after(tmp_path, STUCK)
    log = [{name: value for name, value in line.items() if name != "discriminator/told_apart"} for line in at.log]
    told = [{"discriminator_a/told_apart": 0.6, "discriminator_b/told_apart": share} for share in (0.97, 0.99)]
    two = replace(at, log=log + [{"images": 90_000, **each} for each in told])
    assert two.told == pytest.approx(0.98) and two.won
    assert "ganfoundry train pack --out 'RUN' --kimg 135 --set r1_gamma=2" in commands(two)


def test_a_better_generator_that_was_kept_and_a_recipe_that_came_further(tmp_path: Path) -> None:
    at = after(tmp_path, STUCK)
    assert not any("export" in command for command in commands(at))
    Run(at.judged).best.touch()
    found = commands(at)
    assert found[0] == "ganfoundry export 'RUN/generator.best.safetensors' --out 'exports/my run'"
    assert found[1].endswith("-2' --preset r3gan-cpu")
    best = Situation(Run(at.judged).best, at.pack, 2000, at.run, at.config, at.log)
    assert not any("export" in command for command in commands(best))
    (tmp_path / "my run-2").mkdir()
    assert commands(at)[1].endswith("-3' --preset r3gan-cpu")


@pytest.mark.parametrize(
    ("used", "then"),
    [((), "translation"), (("translation",), "translation,colour"), (("colour",), "colour,translation")],
)
def test_copies_call_for_augmentation_in_another_run(tmp_path: Path, used: tuple[str, ...], then: str) -> None:
    at = after(tmp_path, FALLING, augment=used, conditional=True)
    first = commands(at, suspicious=0.3)[0]
    assert first.endswith(f"-2' --preset dcgan-cpu --conditional --set augment={then}")


def test_few_images_and_good_pictures(tmp_path: Path) -> None:
    steps = advise(after(tmp_path, FALLING, images=120), good=True, suspicious=0.0)
    assert "120 are few" in steps[1].what
    assert (steps[-1].what, steps[-1].command.split()[1]) == ("use it", "export")
    assert advise(Situation(Path("b"), Path("p"), 2000), False, 0.2)[0].command == ""


@pytest.mark.parametrize(
    ("judged", "out"),
    [
        ("", "'exports/my run'"),
        ("generator.best.safetensors", "'exports/my run'"),
        ("generator.b2a.safetensors", "'exports/my run-b2a'"),
        ("generator.best.b2a.safetensors", "'exports/my run-b2a'"),
    ],
)
def test_what_was_judged_is_what_is_used(tmp_path: Path, judged: str, out: str) -> None:
    at = after(tmp_path, FALLING)
    at = replace(at, judged=at.judged / judged)
    assert commands(at, good=True)[-1] == f"ganfoundry export 'RUN{judged and '/'}{judged}' --out {out}"


def test_the_best_is_of_the_direction_that_was_judged(tmp_path: Path) -> None:
    at = after(tmp_path, STUCK)
    back = replace(at, judged=at.judged / "generator.b2a.safetensors")
    Run(at.judged).best.touch()
    assert not any("export" in command for command in commands(back))
    (at.judged / "generator.best.b2a.safetensors").touch()
    assert commands(back)[0] == "ganfoundry export 'RUN/generator.best.b2a.safetensors' --out 'exports/my run-b2a'"
    assert commands(at)[0] == "ganfoundry export 'RUN/generator.best.safetensors' --out 'exports/my run'"


def test_a_bundle_is_published_for_it_is_exported_already(tmp_path: Path) -> None:
    bundle = tmp_path / "digits"
    bundle.mkdir()
    (bundle / "manifest.json").touch()
    step = advise(Situation(bundle, Path("p"), 2000), True, 0.0)[-1]
    assert step.command == f"ganfoundry publish {bundle} --name digits"


def test_a_bundle_and_a_damaged_run_are_judged_all_the_same(tmp_path: Path) -> None:
    assert situation(tmp_path, Path("p"), 9).config is None
    run = Run(tmp_path)
    run.prepare()
    run.config.write_text(resolve("dcgan-cpu").to_json())
    run.log.write_text('{"images": 5, "KID-lite0": 0.5}\n')
    found = situation(tmp_path / "generator.best.safetensors", Path("p"), 9)
    assert (found.run, found.config, len(found.log)) == (tmp_path, resolve("dcgan-cpu"), 1)
    run.log.write_text('damaged\n{"images": 5}\n')
    assert situation(tmp_path, Path("p"), 9).run is None
