"""Packing: nothing overlaps, nothing is lost, and the order of arrival changes nothing."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import AssetError
from core.images import encode_png
from serving.assets.atlas.layout import Packing, layout
from serving.assets.atlas.model import Animation, Atlas, natural
from serving.assets.atlas.packing import pack
from serving.assets.atlas.writers import plain
from serving.assets.sprite import Sprite
from tests.serving.assets.pictures import disc, picture

sizes = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=30)
packings = st.builds(
    Packing,
    size=st.sampled_from([32, 64]),
    padding=st.integers(0, 3),
    extrude=st.integers(0, 2),
    trim=st.booleans(),
    power_of_two=st.booleans(),
    square=st.booleans(),
)


@given(sizes, packings)
def test_rectangles_keep_their_distance(rects, packing):
    done = layout(tuple(rects), packing)
    covered = [np.zeros((height, width), int) for width, height in done.pages]
    for (width, height), (page, x, y) in zip(rects, done.places, strict=True):
        left, top = x - packing.extrude, y - packing.extrude
        right, bottom = x + width + packing.extrude, y + height + packing.extrude
        assert min(left, top) >= 0
        assert right <= done.pages[page][0]
        assert bottom <= done.pages[page][1]
        covered[page][top : bottom + packing.padding, left : right + packing.padding] += 1
    assert all((page <= 1).all() for page in covered)
    assert all(page.any() for page in covered)
    for width, height in done.pages:
        assert max(width, height) <= packing.size
        assert not packing.square or width == height
        assert not packing.power_of_two or width & (width - 1) == height & (height - 1) == 0


def test_a_thousand_sprites_in_ten_orders_give_the_same_bytes():
    source = random.Random(0)
    sprites = [(f"s{n}", Sprite.of(picture(n, source.randint(2, 6), source.randint(2, 6), 0.9))) for n in range(1000)]
    made = set()
    for _ in range(10):
        source.shuffle(sprites)
        packed = pack("all", dict(sprites), Packing(256, padding=1))
        made.add((*map(encode_png, packed.pages), *plain.render(packed.atlas).values()))
    assert len(made) == 1
    assert [frame.name for frame in packed.atlas.frames] == [f"s{n}" for n in range(1000)]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=20), packings)
def test_every_sprite_is_cut_out_again(seeds, packing):
    sprites = {f"{n}": Sprite.of(picture(seed, 1 + seed % 14, 1 + seed % 9)) for n, seed in enumerate(seeds)}
    packed = pack("some", sprites, packing)
    for frame in packed.atlas.frames:
        assert np.array_equal(packed.cut(frame), sprites[frame.name].pixels)


def test_what_looks_the_same_lies_there_once():
    moved = np.roll(disc(), 2, 0)
    packed = pack("a", {"one": Sprite.of(disc()), "two": Sprite.of(moved), "three": Sprite.of(disc())})
    places = {(frame.x, frame.y) for frame in packed.atlas.frames}
    assert len(places) == 1
    assert np.array_equal(packed.cut(packed.atlas.frames[2]), moved)


def test_extruded_borders_repeat_and_padding_is_clear():
    packed = pack("a", {"x": Sprite.of(picture(0, 4, 4, 1))}, Packing(16, padding=0, extrude=2, power_of_two=False))
    assert np.array_equal(packed.pages[0], np.pad(picture(0, 4, 4, 1), ((2, 2), (2, 2), (0, 0)), "edge"))


def test_pages_are_filled_one_after_another():
    sprites = {f"{n}": Sprite.of(picture(n, 10, 10, 1)) for n in range(20)}
    packed = pack("a", sprites, Packing(32, padding=1, trim=False))
    assert [page.image for page in packed.atlas.pages] == ["a-0.png", "a-1.png", "a-2.png"]
    assert [sum(frame.page == page for frame in packed.atlas.frames) for page in range(3)] == [9, 9, 2]
    assert packed.pages[2].shape == (16, 32, 4)


def test_a_grid_has_rows_of_equal_cells():
    sprites = {f"{n}": Sprite.of(picture(n, 4, 4, 1)) for n in range(12)}
    packed = pack("a", sprites, Packing(32, padding=0, extrude=1, grid=True))
    assert [(frame.x, frame.y) for frame in packed.atlas.frames[:6]] == [
        (1, 1), (7, 1), (13, 1), (19, 1), (25, 1), (1, 7)]  # fmt: skip
    with pytest.raises(AssetError, match="a grid takes sprites of one size"):
        pack("a", {"x": Sprite.of(picture(0)), "y": Sprite.of(picture(0, 4, 4))}, Packing(grid=True))


def test_names_sort_as_people_count():
    assert sorted(["walk10", "walk2", "Walk1", "walk02", "2", "10"], key=natural) == [
        "2", "10", "Walk1", "walk02", "walk2", "walk10"]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 100}, "size is 100: give a power of two, or say power_of_two = false"),
        ({"size": 0}, "size is 0: give a whole number, 1 to 16384"),
        ({"padding": -1}, "padding is -1"),
        ({"trim": 1}, "trim is 1: give true or false"),
    ],
)
def test_settings_say_what_to_write(settings, said):
    with pytest.raises(AssetError, match=said):
        Packing(**settings)


def test_what_cannot_be_packed_is_said():
    with pytest.raises(AssetError, match="a sprite of 40x8, with 1 extruded on each side fits no page of 32"):
        pack("a", {"x": Sprite.of(picture(0, 8, 40, 1))}, Packing(32, extrude=1))
    with pytest.raises(AssetError, match="an atlas of 0 sprites"):
        pack("a", {})
    for name in ("../a", "a/b", "", "CON", ".a", "a:b"):
        with pytest.raises(AssetError, match="an atlas cannot be called"):
            Atlas(name, (), ())


@pytest.mark.parametrize(
    "name",
    ["", " a", "a\n", "a\x00b", "a\u202eb", "a\u2028b", "\ud800", "\ufffe", "a" * 201, "__proto__", "__BASE", "\u200b"],
)
def test_names_that_break_files_are_refused(name):
    with pytest.raises(AssetError, match="a sprite cannot be called") as caught:
        pack("a", {name: Sprite.of(disc())})
    assert "\n" not in str(caught.value)


def test_animations_are_of_sprites_that_are_there():
    with pytest.raises(AssetError, match="animation 'run' shows 'b', which is no sprite"):
        pack("a", {"x": Sprite.of(disc())}, animations=[Animation("run", ("x", "b"), (100, 100))])
    with pytest.raises(AssetError, match="two animations are called 'run'"):
        pack("a", {"x": Sprite.of(disc())}, animations=[Animation("run", ("x",), (100,))] * 2)
    with pytest.raises(AssetError, match="has 1 frames, 0 durations"):
        Animation("run", ("x",), ())
    with pytest.raises(AssetError, match="in milliseconds, is 0"):
        Animation("run", ("x",), (0,))
