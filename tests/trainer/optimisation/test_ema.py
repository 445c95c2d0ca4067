"""The average of the generator's weights."""

import pytest
import torch

from core.networks import build_generator
from core.spec import GeneratorSpec
from trainer.optimisation import ema

SPEC = GeneratorSpec("dcgan", 16, 16, 3, 8, options={"width": 4})


def test_after_a_half_life_half_is_left() -> None:
    keep = ema.decay(batch=50, images_seen=10**9, half_life=1000, ramp=0.05)
    assert keep ** (1000 / 50) == pytest.approx(0.5)


def test_a_young_average_has_a_short_memory() -> None:
    young = ema.decay(batch=10, images_seen=1000, half_life=10_000, ramp=0.05)
    assert young == pytest.approx(0.5 ** (10 / 50))
    assert ema.decay(10, 1000, 10_000, 0) == pytest.approx(0.5 ** (10 / 10_000))


def test_without_memory_the_average_is_the_generator() -> None:
    assert ema.decay(10, 1000, half_life=0, ramp=0.05) == 0


def test_update_is_the_weighted_mean_of_weights_and_running_statistics() -> None:
    torch.manual_seed(0)
    generator = build_generator(SPEC)
    average = ema.average_of(generator)
    before = {name: value.clone() for name, value in average.state_dict().items()}
    generator.train()(torch.randn(4, 8)).sum().backward()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(parameter.grad)
    ema.update(average, generator, 0.75)
    for name, value in average.state_dict().items():
        now = generator.state_dict()[name]
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * now)
        else:
            assert torch.equal(value, now)
    assert not average.training
    assert not any(parameter.requires_grad for parameter in average.parameters())
