"""Which recipe is taken where none is named."""

from dataclasses import replace

import pytest

from trainer.data.pack import PackInfo
from trainer.presets import PRESETS, resolve
from trainer.presets.choosing import choose, choose_for


@pytest.mark.parametrize(
    ("size", "gpu", "count", "classes", "preset"),
    [
        ((28, 28, 1), False, 5000, 0, "dcgan-28"),
        ((28, 28, 1), True, 5000, 0, "dcgan-28"),
        ((28, 28, 1), False, 5000, 10, "cgan"),
        ((28, 28, 4), False, 5000, 0, "dcgan-cpu"),
        ((32, 32, 4), False, 5000, 3, "dcgan-cpu"),
        ((32, 32, 4), True, 200, 0, "r3gan-cpu"),
        ((32, 32, 4), True, 199, 0, "dcgan-cpu"),
        ((24, 48, 3), True, 5000, 0, "r3gan-cpu"),
        ((96, 64, 4), False, 5000, 0, "dcgan-cpu"),
        ((64, 32, 4), True, 5000, 0, "stylegan-lite"),
    ],
)
def test_the_recipe_follows_from_the_images_and_the_machine(size, gpu, count, classes, preset) -> None:
    height, width, _ = size
    chosen, why = choose(*size, gpu, count, classes)
    assert chosen == preset
    assert chosen in PRESETS
    assert f"{width}x{height}" in why
    assert resolve(chosen).conditional == (chosen == "cgan")


def test_classes_that_a_recipe_leaves_out_are_said() -> None:
    info = PackInfo("discs", 32, 32, 4, classes=("red", "green"))
    assert choose_for(info, False, 900).why.endswith("; the pack's 2 classes are learned with --conditional")
    assert "--conditional" not in choose_for(replace(info, classes=()), False, 900).why
    assert "--conditional" not in choose_for(replace(info, height=28, width=28, channels=1), False, 900).why
    assert choose_for(info, True, 150).why.startswith("of as few images of 32x32 as 150 it makes the most")
