"""The schedule of growing: a pure function of the images seen."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.networks.progressive import LEVEL
from trainer.data.sampler import indices
from trainer.presets import resolve
from trainer.settings.growth import Growth

KIMG = st.lists(st.integers(0, 50).map(lambda images: images / 1000), min_size=1, max_size=4)
GROWTHS = st.builds(Growth.of, st.fixed_dictionaries({"stable_kimg": KIMG, "fade_kimg": KIMG}))
SCHEDULE = Growth.of({"stable_kimg": [0.1, 0.2], "fade_kimg": [9, 0.05, 0.4], "batch": [4, 2, 1], "rate": [1, 1.5]})


@pytest.mark.parametrize(
    ("images", "level"),
    [
        (0, 0),
        (99, 0),
        (100, 0),
        (125, 0.5),
        (149, 0.98),
        (150, 1),
        (350, 1),
        (450, 1.25),
        (550, 1.5),
        (750, 2),
        (950, 2),
        (1150, 2.5),
        (1350, 3),
        (10**9, 3),
    ],
)
def test_the_phases_by_hand(images: int, level: float) -> None:
    # 100 of level 0, 50 of fading, 200 of level 1, 400 of fading, 200 of level 2, 400 of fading, level 3.
    assert SCHEDULE.grown(images, 3) == int(level * LEVEL)


def test_lengths_are_in_thousands_of_images() -> None:
    growth = Growth(stable_kimg=(600.0,), fade_kimg=(800.0,))
    found = [growth.grown(images, 1) for images in (599_999, 600_000, 1_000_000, 1_399_999, 1_400_000)]
    assert found == [0, 0, LEVEL // 2, LEVEL - 1, LEVEL]


def test_a_level_without_a_fade_is_there_at_once() -> None:
    growth = Growth.of({"stable_kimg": 0.1, "fade_kimg": 0})
    assert [growth.grown(images, 2) // LEVEL for images in (99, 100, 199, 200)] == [0, 1, 1, 2]


@given(GROWTHS, st.integers(1, 6))
def test_growth_never_shrinks_and_covers_every_level(growth: Growth, doublings: int) -> None:
    moments = [growth.grown(images, doublings) for images in range(700)]
    assert all(0 <= a <= b <= doublings * LEVEL for a, b in pairwise(moments))
    assert moments[-1] == doublings * LEVEL  # 6 levels of at most 100 images
    trained = {moment // LEVEL for moment in moments if moment % LEVEL == 0}
    lasting = {level for level in range(doublings) if growth.stable_kimg[min(level, len(growth.stable_kimg) - 1)] > 0}
    assert trained >= lasting | {doublings}


@given(GROWTHS, st.integers(1, 6), st.integers(0, 700))
def test_a_fade_rises_by_equal_steps(growth: Growth, doublings: int, images: int) -> None:
    now, later = growth.grown(images, doublings), growth.grown(images + 1, doublings)
    level = now // LEVEL
    if now % LEVEL and later // LEVEL == level:
        fade = round(growth.fade_kimg[min(level + 1, len(growth.fade_kimg) - 1)] * 1000)
        assert later - now == pytest.approx(LEVEL / fade, abs=1)


def test_a_level_s_batch_and_rate_hold_from_the_start_of_its_fade() -> None:
    found = [SCHEDULE.factors(grown) for grown in (0, 1, LEVEL, LEVEL + 1, 2 * LEVEL, 5 * LEVEL)]
    assert found == [(4, 1), (2, 1.5), (2, 1.5), (1, 1.5), (1, 1.5), (1, 1.5)]


@given(st.integers(1, 60), st.integers(0, 3))
def test_a_batch_that_changes_keeps_every_image_of_an_epoch_exactly_once(count: int, seed: int) -> None:
    seen, images = [], 0
    while images < 3 * count:
        batch = round(8 * SCHEDULE.factors(SCHEDULE.grown(10 * images, 3))[0])
        seen.append(indices(count, seed, images, batch))
        images += batch
    epochs = np.concatenate(seen)[: 3 * count].reshape(3, count)
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs.tolist())


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("growth.fade=3", "growth.fade is unknown: choose from stable_kimg, fade_kimg, batch, rate"),
        ("growth.fade_kimg=-1", "growth.fade_kimg holds -1: it needs numbers of at least 0"),
        ("growth.stable_kimg=4,soon", "growth.stable_kimg holds 'soon'"),
        ("growth.batch=2,0", "growth.batch holds 0: it needs numbers of more than 0"),
        ("growth.rate=true", "growth.rate holds True"),
        ("growth.rate=[]", "growth.rate is empty"),
    ],
)
def test_what_cannot_be_is_refused_in_the_user_s_words(setting: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve("progressive-cpu", [setting])
    assert says in str(error.value)


def test_what_the_schedule_leaves_out_is_as_published() -> None:
    # Karras et al. 2018, section A.1: 600 thousand images to fade in and 600 to settle.
    assert Growth.of({"batch": 2}) == Growth((600.0,), (600.0,), batch=(2.0,), rate=(1.0,))
    assert Growth.of({"rate": 2}) == Growth((600.0,), (600.0,), batch=(1.0,), rate=(2.0,))


def test_growth_of_a_system_that_does_not_grow_is_refused() -> None:
    with pytest.raises(ConfigError, match="growth is of the progressive system, and this run's is adversarial"):
        resolve("dcgan", ["growth.fade_kimg=3"])


def test_settings_of_the_schedule_are_read_as_people_write_them() -> None:
    config = resolve("progressive", ["growth.fade_kimg=8,4.5", "growth.batch=2"])
    growth = Growth.of(config.growth)
    assert (growth.fade_kimg, growth.batch) == ((8.0, 4.5), (2.0,))
    assert growth.stable_kimg == Growth.of(resolve("progressive").growth).stable_kimg


@pytest.mark.parametrize("doublings", [3, 4])
def test_the_cpu_preset_spends_most_of_its_time_at_the_full_size(doublings: int) -> None:
    config = resolve("progressive-cpu")
    growth = Growth.of(config.growth)
    assert growth.grown(config.images // 2, doublings) == doublings * LEVEL
