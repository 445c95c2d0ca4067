"""Palettes: files there and back, nearest as brute force finds it, learned alike in any order."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import AssetError
from serving.assets.palettes.colours import Palette, from_oklab, oklab
from serving.assets.palettes.files import PARSERS, RENDERERS, read_palette, render_palette
from serving.assets.palettes.indexed import indexed_png
from serving.assets.palettes.learning import learn
from serving.assets.palettes.matching import DITHERS, locked, nearest, thresholds
from tests.serving.assets.pictures import picture

rgb = st.tuples(*[st.integers(0, 255)] * 3)
palettes = st.lists(rgb, min_size=1, max_size=40, unique=True).map(lambda colours: Palette(tuple(colours)))


@pytest.mark.parametrize("ending", PARSERS)
@given(palette=palettes)
def test_files_hold_every_colour_in_order(ending, palette):
    assert PARSERS[ending](RENDERERS[ending](palette)).colours == palette.colours


@given(st.text(max_size=30))
def test_a_name_breaks_no_file(name):
    assert PARSERS[".gpl"](RENDERERS[".gpl"](Palette(((1, 2, 3),), name))).colours == ((1, 2, 3),)


def test_files_of_others(tmp_path):
    for name, text in {
        "a.gpl": "GIMP Palette\r\nName: My  own\r\nColumns: 4\r\n# a note\r\n\r\n  0   0   0\tBlack one\r\n255 8 0\r\n",
        "a.hex": "\ufeff000000\nFF0800\n\n",
        "a.pal": "JASC-PAL\r\n0100\r\n3\r\n0 0 0\r\n255 8 0\r\n0 0 0\r\n",
    }.items():
        (tmp_path / name).write_text(text, newline="")
        assert read_palette(tmp_path / name).colours == ((0, 0, 0), (255, 8, 0))
    assert read_palette(tmp_path / "a.gpl").name == "My  own"
    assert render_palette(tmp_path / "b.PAL", Palette(((1, 2, 3),))) == "JASC-PAL\r\n0100\r\n1\r\n1 2 3\r\n"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.gpl", b"0 0 0\n", "line 1 is not 'GIMP Palette'"),
        ("a.gpl", b"GIMP Palette\n0 0 256\n", "line 2 is no colour"),
        ("a.gpl", b"GIMP Palette\n0 0 1\nName: late\n", "line 3 is no colour"),
        ("a.gpl", b"GIMP Palette\n", "a palette of 0 colours"),
        ("a.hex", b"ff00\n", "line 1 is no colour"),
        ("a.hex", b"\xff\xfe", "it is no text"),
        ("a.hex", "".join(f"{n:06x}\n" for n in range(257)).encode(), "a palette of 257 colours"),
        ("a.hex", b"000000\n" * 10_000, "more than 65536 bytes"),
        ("a.pal", b"JASC-PAL\n0101\n1\n0 0 0\n", "the first two lines"),
        ("a.pal", b"JASC-PAL\n0100\n2\n0 0 0\n", "line 3 must be 1"),
        ("a.pal", b"JASC-PAL\n0100\n", "line 3 must be 0"),
        ("a.pal", b"RIFF\x10\x00", "the first two lines"),
        ("a.act", b"", "must end in .gpl, .hex, .pal"),
    ],
)
def test_damaged_files_are_refused_by_line(name, data, said, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(AssetError, match=said):
        read_palette(tmp_path / name)


def test_oklab_as_published():
    # Ottosson 2020, the table of XYZ pairs, through sRGB: white, and the primaries as CSS Color 4 lists them.
    lab = oklab(np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8))
    assert lab[0] == pytest.approx([1, 0, 0], abs=1e-4)
    assert lab[1] == pytest.approx([0.62796, 0.22486, 0.12585], abs=1e-4)
    assert lab[2] == pytest.approx([0.86644, -0.23389, 0.17950], abs=1e-4)
    assert lab[3] == pytest.approx([0.45201, -0.03246, -0.31153], abs=1e-4)


@given(st.lists(rgb, min_size=1, max_size=50))
def test_oklab_goes_back(colours):
    levels = np.array(colours, np.uint8)
    assert np.array_equal(from_oklab(oklab(levels)), levels)


@given(st.lists(rgb, max_size=30), palettes)
def test_nearest_is_what_brute_force_finds(colours, palette):
    levels = np.array(colours, np.uint8).reshape(-1, 3)
    for colour, found in zip(levels, nearest(levels, palette), strict=True):
        apart = [float(((oklab(colour) - oklab(np.array(other, np.uint8))) ** 2).sum()) for other in palette.colours]
        assert apart[found] == pytest.approx(min(apart), abs=1e-12)


@pytest.mark.parametrize("dither", DITHERS)
@given(seed=st.integers(0, 999), palette=palettes)
def test_a_locked_picture_has_the_palettes_colours_alone(dither, seed, palette):
    image = picture(seed)
    done = locked(image, palette, dither)
    assert {tuple(c) for c in done[..., :3].reshape(-1, 3).tolist()} <= set(palette.colours)
    assert np.array_equal(done[..., 3], image[..., 3])
    assert np.array_equal(locked(done, palette, dither), done)  # what has the colours stays


def test_dither_mixes_to_the_colour_between():
    grey = Palette(((60, 60, 60), (180, 180, 180)))
    ramp = np.stack([np.full((16, 16, 3), level, np.uint8) for level in (60, 90, 120, 150, 180)])
    for flat in ramp:
        image = np.concatenate([flat, np.full((16, 16, 1), 255, np.uint8)], axis=2)
        seen = oklab(locked(image, grey, "bayer8")[..., :3])[..., 0].mean()
        assert seen == pytest.approx(oklab(flat)[0, 0, 0], abs=0.5 / 64)


@pytest.mark.parametrize("side", [2, 4, 8])
def test_bayers_matrix_has_each_share_once(side):
    shares = thresholds(side, side, side)
    assert sorted(shares.ravel()) == [(n + 0.5) / side**2 for n in range(side**2)]
    if side == 4:
        published = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]
        assert sorted(map(tuple, shares * 16 - 0.5)) in (
            sorted(map(tuple, np.array(published, float))),
            sorted(map(tuple, np.array(published, float).T)),
        )


def test_learned_alike_in_any_order_and_exact_where_few():
    images = [picture(seed, 12, 12) for seed in range(4)]
    palette = learn(images, 16)
    assert palette == learn(images[::-1], 16)
    assert len(palette.colours) == 16
    lightness = oklab(np.array(palette.colours, np.uint8))[:, 0]
    assert (np.diff(lightness) >= 0).all()
    assert set(learn([picture(0, 2, 2, 1)], 16).colours) == {
        tuple(c) for c in picture(0, 2, 2, 1)[..., :3].reshape(-1, 3).tolist()
    }
    with pytest.raises(AssetError, match="nothing is visible"):
        learn([np.zeros((2, 2, 4), np.uint8)], 4)


def test_learned_centres_are_where_the_colours_are():
    random, spots = np.random.default_rng(0), np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [220, 220, 220]])
    image = np.full((40, 40, 4), 255, np.uint8)
    image[..., :3] = spots[random.integers(0, 4, (40, 40))] + random.integers(-6, 7, (40, 40, 3))
    apart = np.abs(np.array(learn([image], 4).colours)[:, None].astype(int) - spots).max(2)
    assert (apart.min(0) <= 3).all()


@given(st.integers(0, 999), st.integers(1, 16))
def test_an_indexed_file_holds_every_pixel(seed, side):
    image = picture(seed, side, side)
    file = indexed_png(image, [(1, 2, 3)])
    with Image.open(io.BytesIO(file)) as opened:
        assert opened.mode == "P"
        assert np.array_equal(np.asarray(opened.convert("RGBA")), image)


def test_trns_is_as_short_as_can_be_and_the_palette_in_its_order():
    order = [(9, 9, 9), (200, 0, 0), (0, 200, 0)]
    image = np.zeros((2, 2, 4), np.uint8)
    image[0] = [[0, 200, 0, 255], [200, 0, 0, 255]]
    file = indexed_png(image, order)
    at = file.index(b"tRNS")
    assert struct.unpack(">I", file[at - 4 : at]) == (1,)
    at = file.index(b"PLTE")
    assert file[at + 4 : at + 13] == bytes([0, 0, 0, 200, 0, 0, 0, 200, 0])


def test_too_many_colours_are_refused():
    with pytest.raises(AssetError, match="289 colours with their alpha are too many"):
        indexed_png(picture(0, 17, 17, 1))
