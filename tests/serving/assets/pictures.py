"""Pictures for the tests of assets."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core.images import Images


def picture(seed: int = 0, height: int = 8, width: int = 8, visible: float = 0.5) -> Images:
    """RGBA noise, of which a share is transparent and black."""
    random = np.random.default_rng(seed)
    noise = random.integers(1, 256, (height, width, 4), np.uint8)
    return noise * (random.random((height, width, 1)) < visible)


def disc(size: int = 16, radius: float = 5, colour: tuple[int, int, int] = (255, 255, 255)) -> Images:
    rows, columns = np.indices((size, size)) + 0.5
    inside = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < radius**2
    return np.where(inside[..., None], np.array([*colour, 255]), 0).astype(np.uint8)


pictures = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda size: arrays.arrays(np.uint8, (*size, 4), elements=st.sampled_from([0, 1, 19, 20, 127, 128, 254, 255]))
)
