"""Which recipe is taken where none is named."""

import pytest

from trainer.presets import PRESETS
from trainer.presets.choosing import choose


@pytest.mark.parametrize(
    ("size", "gpu", "preset"),
    [
        ((28, 28, 1), False, "dcgan-28"),
        ((28, 28, 1), True, "dcgan-28"),
        ((28, 28, 4), False, "dcgan-cpu"),
        ((32, 32, 4), False, "dcgan-cpu"),
        ((32, 32, 4), True, "r3gan-cpu"),
        ((24, 48, 3), True, "r3gan-cpu"),
        ((96, 64, 4), False, "dcgan-cpu"),
        ((64, 32, 4), True, "stylegan-lite"),
    ],
)
def test_the_recipe_follows_from_the_images_and_the_machine(size, gpu, preset) -> None:
    height, width, _ = size
    chosen, why = choose(*size, gpu)
    assert chosen == preset
    assert chosen in PRESETS
    assert f"{width}x{height}" in why
