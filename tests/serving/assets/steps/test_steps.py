"""Each step against its definition, written again in the plainest way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import AssetError
from serving.assets.sprite import Sprite, rgba
from serving.assets.steps.alpha import OneBit, Threshold, one_bit, premultiply, threshold
from serving.assets.steps.bleed import Bleed, bleed
from serving.assets.steps.centre import Pivot, centre, centre_of_mass, pivot
from serving.assets.steps.directions import COMPASS, direction_set, ways
from serving.assets.steps.outline import Outline, outline
from serving.assets.steps.sizes import Enlarge, Pad, enlarge, pad
from serving.assets.steps.specks import Specks, specks
from serving.assets.steps.tileable import Seam, Tileable, seams, tileable
from serving.assets.steps.trim import Trim, trim
from serving.assets.steps.turning import Flip, Turn, flip, turn
from tests.serving.assets.pictures import disc, picture, pictures


@given(pictures)
def test_a_threshold_clears_the_veil_and_nothing_else(image):
    cleared = threshold(image, Threshold())
    faint = image[..., 3] < 20
    assert not cleared[faint].any()
    assert np.array_equal(cleared[~faint], image[~faint])


@given(pictures, st.integers(1, 255))
def test_one_bit_has_two_alphas(image, at):
    hard = one_bit(image, OneBit(at))
    full = image[..., 3] >= at
    assert np.array_equal(hard[..., 3], full * 255)
    assert np.array_equal(hard[full][:, :3], image[full][:, :3])
    assert not hard[~full].any()


def test_premultiplied_levels_are_the_nearest_of_all():
    alpha, colour = np.indices((256, 256)).astype(np.uint8)
    image = np.stack([colour, colour, colour, alpha], axis=2)
    assert np.array_equal(premultiply(image)[..., 0], np.rint(colour * (alpha / 255)))
    assert np.array_equal(premultiply(image)[..., 3], alpha)


def flooded(visible):
    """The islands of a mask, 8-connected, by flood."""
    left = set(zip(*map(list, np.nonzero(visible)), strict=True))
    while left:
        island, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            island.add((y, x))
            around = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            edge += around
        yield island


@given(st.integers(0, 10_000), st.integers(2, 12))
def test_specks_go_and_the_largest_island_stays(seed, pixels):
    image = picture(seed, 12, 9, 0.25)
    kept, islands = specks(image, Specks(pixels)), list(flooded(image[..., 3] > 0))
    largest = max(map(len, islands), default=0)
    expected = np.zeros_like(image)
    for island in islands:
        if len(island) >= min(pixels, largest):
            for at in island:
                expected[at] = image[at]
    assert np.array_equal(kept, expected)


@given(st.integers(0, 10_000), st.sampled_from([1, 128]))
def test_bled_colour_is_that_of_a_nearest_pixel(seed, least):
    image = picture(seed, 9, 7, 0.2)
    bled, giving = bleed(image, Bleed(least)), np.argwhere(image[..., 3] >= least)
    assert np.array_equal(bled[..., 3], image[..., 3])
    assert np.array_equal(bled[image[..., 3] > 0], image[image[..., 3] > 0])
    if not len(giving):
        assert np.array_equal(bled, image)
        return
    for at in np.argwhere(image[..., 3] == 0):
        distance = ((giving - at) ** 2).sum(1)
        near = {tuple(image[tuple(other)][:3]) for other in giving[distance == distance.min()]}
        assert tuple(bled[tuple(at)][:3]) in near


def test_a_white_disc_on_white_stays_white_under_a_linear_filter():
    def darkest(image):
        halves = (image[:, 1:].astype(float) + image[:, :-1]) / 2  # straight alpha, as engines filter
        alpha = halves[..., 3:] / 255
        return (halves[..., :3] * alpha + 255 * (1 - alpha)).min()

    assert darkest(disc()) < 200
    assert darkest(bleed(disc(), Bleed())) == 255


@given(pictures, st.integers(1, 3), st.sampled_from(["round", "square"]))
def test_an_outline_is_what_a_brush_around_the_shape_covers(image, width, shape):
    drawn = outline(image, Outline("#ff0080", width, shape, 128))
    height, across = image.shape[:2]
    assert drawn.shape == (height + 2 * width, across + 2 * width, 4)
    inside = np.argwhere(np.pad(image[..., 3], width) >= 128)
    old = np.pad(image, ((width, width), (width, width), (0, 0)))
    for at in np.ndindex(drawn.shape[:2]):
        apart = np.abs(inside - at)
        steps = (apart.sum(1) if shape == "round" else apart.max(1)).min(initial=99)
        if 0 < steps <= width:
            share = old[at][3] / 255
            over = np.rint(old[at][:3] * share + np.array([255, 0, 128]) * (1 - share))
            assert np.abs(drawn[at].astype(int) - [*over, 255]).max() <= 0
        else:
            assert np.array_equal(drawn[at], old[at])


def test_an_outline_may_keep_the_size():
    assert outline(disc(), Outline(grow=False)).shape == (16, 16, 4)


@given(pictures, st.integers(0, 3))
def test_a_trimmed_sprite_is_its_source_again(image, margin):
    image = image * (image[..., 3:] > 0)
    (small,) = trim([Sprite.of(image)], Trim(margin=margin))
    assert small.source == (image.shape[1], image.shape[0])
    assert np.array_equal(small.whole(), image)
    assert small.pixels.size
    if margin == 0 and image[..., 3].any():
        alpha = small.pixels[..., 3]
        assert all(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))


def test_trimmed_twice_is_trimmed_from_the_source():
    image = np.pad(disc(), ((3, 0), (5, 0), (0, 0)))
    once = trim([Sprite.of(image)], Trim(margin=2))
    (twice,) = trim(once, Trim())
    assert twice.offset == (8, 6)
    assert twice.pixels.shape == (10, 10, 4)
    assert np.array_equal(twice.whole(), image)


def test_nothing_visible_trims_to_one_pixel():
    (empty,) = trim([Sprite.of(np.zeros((4, 6, 4), np.uint8))], Trim())
    assert empty.pixels.shape == (1, 1, 4)
    assert empty.trimmed
    assert empty.source == (6, 4)


@pytest.mark.parametrize("times", [2, 3, 4])
def test_enlarged_pixels_are_squares(times):
    large, image = enlarge(picture(), Enlarge(times)), picture()
    assert large.shape == (8 * times, 8 * times, 4)
    for y, x in np.ndindex(large.shape[:2]):
        assert np.array_equal(large[y, x], image[y // times, x // times])


@given(st.integers(1, 70), st.integers(1, 70), st.booleans(), st.sampled_from(["middle", "top-left", "bottom"]))
def test_padded_sides_are_powers_of_two(height, width, square, at):
    image = picture(1, height, width, 1)
    large = pad(image, Pad(at, square))
    tall, wide = large.shape[:2]
    for side, least in ((tall, height), (wide, width)):
        assert side & (side - 1) == 0
        assert least <= side
        assert square or side < 2 * least
    left = 0 if at == "top-left" else (wide - width) // 2
    top = {"top-left": 0, "middle": (tall - height) // 2, "bottom": tall - height}[at]
    assert np.array_equal(large[top : top + height, left : left + width], image)
    assert (large[..., 3] > 0).sum() == height * width


def test_flips_and_turns_are_a_group():
    image = picture(2, 4, 6)
    assert np.array_equal(flip(image, Flip("left-right"))[0, 0], image[0, -1])
    assert np.array_equal(flip(image, Flip("up-down"))[0, 0], image[-1, 0])
    assert np.array_equal(turn(image, Turn(90))[0, -1], image[0, 0])  # clockwise: top left goes to top right
    assert np.array_equal(turn(turn(image, Turn(90)), Turn(270)), image)
    assert np.array_equal(turn(image, Turn(180)), flip(flip(image, Flip("up-down")), Flip("left-right")))


def arrow(way):
    """One dot on a square, where it looks; and another, a quarter of a turn on, that tells mirrored from turned."""
    places = dict(zip(COMPASS, [(0, 2), (0, 4), (2, 4), (4, 4), (4, 2), (4, 0), (2, 0), (0, 0)], strict=True))
    image = np.zeros((5, 5, 4), np.uint8)
    image[places[way]] = 255
    return image


@pytest.mark.parametrize("view", ["side", "above"])
@pytest.mark.parametrize("way", COMPASS)
def test_every_picture_looks_where_it_says(way, view):
    for seen, image in ways({way: arrow(way)}, view).items():
        assert np.array_equal(image, arrow(seen))


def test_sets_of_directions():
    drawn = {way: arrow(way) for way in ("n", "ne", "e", "se", "s")}
    made = direction_set(drawn, 8)
    assert tuple(made) == COMPASS
    assert all(np.array_equal(made[way], arrow(way)) for way in COMPASS)
    assert tuple(direction_set({"e": arrow("e")}, 4, "above")) == ("n", "e", "s", "w")
    with pytest.raises(AssetError, match='look e give no set of 4: add one that looks n, or say view = "above"'):
        direction_set({"e": arrow("e")}, 4)
    with pytest.raises(AssetError, match="add one that looks ne"):
        direction_set({"e": arrow("e")}, 8, "above")


def test_what_was_drawn_is_never_replaced():
    mine = picture(3)
    assert ways({"e": arrow("e"), "w": mine})["w"] is mine


@given(pictures)
def test_the_centre_of_mass_is_the_weighed_mean(image):
    weights = [(x + 0.5, y + 0.5, int(image[y, x, 3])) for y, x in np.ndindex(image.shape[:2])]
    mass = sum(w for *_, w in weights)
    if mass:
        expected = sum(x * w for x, _, w in weights) / mass, sum(y * w for _, y, w in weights) / mass
        assert centre_of_mass(image) == pytest.approx(expected, rel=1e-12)


def test_a_shape_is_centred_and_nothing_lost():
    image = np.roll(disc(), (-3, 2), (0, 1))
    assert np.array_equal(centre(image), disc())
    tail = np.zeros((8, 8, 4), np.uint8)
    tail[4, 0] = tail[3:6, 4:7] = 255  # the tail is at the border: it goes no further
    assert np.array_equal(centre(tail), tail)


def test_pivots_are_shares_of_the_source():
    image = np.roll(disc(), 3, 0)
    at = lambda where: pivot(trim([Sprite.of(image)], Trim()), Pivot(where))[0].pivot  # noqa: E731
    assert at("mass") == pytest.approx((0.5, 11 / 16))
    assert at("feet") == pytest.approx((0.5, 1.0))
    assert at("middle") == (0.5, 0.5)


def test_seams_across_the_border_beside_those_inside():
    row = np.arange(16) * 10
    image = rgba(np.repeat(row[None, :, None], 8, axis=0).astype(np.uint8))
    found = seams(image)
    assert found["left-right"].across == pytest.approx(150 * 3 / 4)
    assert found["left-right"].inside == pytest.approx(10 * 3 / 4)
    assert found["left-right"].rough == pytest.approx(10 * 3 / 4)
    assert found["up-down"] == Seam(0, 0, 0)
    (sprite,) = tileable([Sprite.of(image)], Tileable())
    assert sprite.notes == ("a seam left-right: neighbours differ by 112.5 levels across the border, by 7.5 inside",)


def test_a_wave_that_wraps_has_no_seam():
    wave = 127 + 100 * np.sin(np.arange(32) * 2 * np.pi / 32)
    image = rgba(np.rint(wave[None, :, None] + 0 * wave[:, None, None]).astype(np.uint8))
    assert not tileable([Sprite.of(image)], Tileable())[0].notes
