"""Pictures to try a translator with: a seed is always the same one, real ones come first, and no two are alike."""

import numpy as np

from core.contract import SOURCE, count_of, sample_inputs, sheet_inputs
from core.examples import pictures
from core.spec import GeneratorSpec, SourceSpec

SOURCE_SPEC = SourceSpec(16, 24, 4)
SPEC = GeneratorSpec("unet", 16, 24, 4, 0, kind="image", source=SOURCE_SPEC)
REAL = np.random.RandomState(0).randint(1, 256, (3, 16, 24, 4)).astype(np.uint8)


def test_drawn_pictures_follow_from_their_seeds() -> None:
    made = pictures(SOURCE_SPEC, range(20))
    assert made.shape == (20, 16, 24, 4) and made.dtype == np.uint8
    assert len(np.unique(made.reshape(20, -1), axis=0)) == 20
    assert np.array_equal(made[7:9], pictures(SOURCE_SPEC, [7, 8]))
    assert not made[made[..., 3] == 0].any()  # nothing hides behind transparency
    assert 0 < (made[..., 3] == 0).mean() < 1


def test_real_ones_come_as_they_are_then_moved() -> None:
    made = pictures(SOURCE_SPEC, range(9), REAL)
    assert np.array_equal(made[:3], REAL)
    for row in range(3, 9):  # the same pixels elsewhere
        assert np.array_equal(np.unique(made[row]), np.unique(REAL[row % 3]))
    assert len(np.unique(made.reshape(9, -1), axis=0)) == 9


def test_the_contract_asks_the_kind() -> None:
    assert [*sample_inputs(SPEC, range(2))] == [SOURCE]
    inputs, columns = sheet_inputs(SPEC, 2, REAL)
    assert (count_of(inputs), columns) == (2, 2) and np.array_equal(inputs[SOURCE], REAL[:2])
