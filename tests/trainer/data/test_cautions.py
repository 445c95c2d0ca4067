"""What an import warns of, one kind of pictures each; the options that it names are parsed and do what it says."""

import re

import numpy as np
import pytest
from PIL import Image

from core.errors import SpecError
from core.fitting import fit
from core.sizes import parse_size
from trainer.data.cautions import Met, Way, alike, cautions, size_of


def met(sides, count, name="a", **more):
    return [Met(f"{name}{number}.png", sides, **more) for number in range(count)]


def warned(pictures, size="64", fit="pad", cells=False, channels=3):
    lines = cautions(pictures, Way(parse_size(size), fit, cells), channels)
    assert all("\n" not in line and ": " in line for line in lines)
    return lines


def only(*arguments, **options):
    (line,) = warned(*arguments, **options)
    return line


def test_many_pictures_of_the_very_size_are_nothing_to_warn_of():
    assert warned(met((64, 64), 200)) == []
    assert warned(met((64, 64), 200, opaque=False), channels=4) == []
    assert warned(met((32, 32), 200, resample="nearest"), size="32") == []


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 image is few"), (199, "199 images are few"), (47, "'evaluate' look for copies")]
)
def test_few(count, said):
    assert said in only(met((64, 64), count))


def test_a_single_large_picture_may_be_a_sheet():
    assert "--grid WIDTHxHEIGHT if it is a sheet" in warned(met((250, 250), 1))[0]
    assert "--grid 64x64 if it is a sheet" in warned(met((256, 256), 1))[0]
    assert "--grid 64x64 cuts" in warned(met((1024, 256), 1))[1]
    assert "--grid" not in warned(met((64, 64), 1))[0]
    assert "--grid" not in warned(met((256, 256), 1), cells=True)[0]


def test_strips_are_told_by_their_shape_and_cut_into_their_cells():
    """A strip is no picture that is reduced, and of no size that counts: cut, it is another one."""
    pictures = met((64, 64), 200) + met((44, 14), 1, "bar") + met((512, 64), 2, "walk")
    line = only(pictures)
    assert line.startswith("3 of 203 images are more than 3 times as long as wide (such as walk0.png, 512x64)")
    assert "--grid 64x64 cuts walk0.png" in line
    assert "--grid 32x36 cuts" in only(met((64, 64), 200) + met((32, 144), 1))
    assert "--grid WIDTHxHEIGHT" in only(met((64, 64), 200) + met((100, 31), 1))
    assert warned(met((64, 64), 200) + met((192, 64), 1)) == []
    assert not any("long" in line for line in warned(pictures, cells=True))
    assert not any("long" in line for line in warned(met((128, 32), 200), size="128x32"))


@pytest.mark.parametrize(
    ("sides", "size", "ways"),
    [
        (
            (72, 72),
            "64",
            ["--size 80x80 --fit keep (a margin of 4 pixels", "--size 64x64 --fit keep (without 4 pixels"],
        ),
        ((72, 72), "80", ["--size 80x80 --fit keep", "--size 64x64 --fit keep"]),
        (
            (36, 36),
            "32",
            ["--size 40x40 --fit keep (a margin of 2 pixels", "--size 32x32 --fit keep (without 2 pixels"],
        ),
        ((60, 60), "64", ["--size 64x64 --fit keep (a margin of 2", "--size 56x56 --fit keep"]),
        ((30, 30), "32", ["a margin of 1 pixel at", "without 1 pixel at"]),
        ((48, 48), "64", ["--size 48x48 keeps them as they are"]),
        ((75, 75), "80", ["a margin of 2 to 3 pixels"]),
        ((100, 72), "96x64", ["--fit keep"]),
    ],
)
def test_the_size_that_most_have_can_keep_its_pixels(sides, size, ways):
    target = parse_size(size)
    line = only(met(sides, 200) + met((target.width, target.height), 20), size=size)
    assert line.startswith(f"200 of 220 images are {sides[0]}x{sides[1]} and resampled")
    assert all(way in line for way in ways), line


@pytest.mark.parametrize(("sides", "size", "way"), [((72, 72), "64", "pad"), ((90, 60), "80x56", "crop")])
def test_the_ways_that_are_named_keep_every_pixel(sides, size, way):
    pixels = np.random.default_rng(0).integers(0, 256, (sides[1], sides[0], 3), np.uint8)
    line = only(met(sides, 200), size=size, fit=way)
    named = re.findall(r"--size (\S+) --fit keep", line)
    assert len(named) == 2
    for text in named:
        target = parse_size(text)
        found = fit(Image.fromarray(pixels), target, "keep", "lanczos")[..., :3]
        height, width = min(sides[1], target.height), min(sides[0], target.width)
        window = np.lib.stride_tricks.sliding_window_view(found, (height, width, 3))
        top, left = (sides[1] - height) // 2, (sides[0] - width) // 2
        assert (window == pixels[top : top + height, left : left + width]).all(axis=(-3, -2, -1)).any()


def test_pixels_that_are_kept_are_not_warned_of():
    assert warned(met((72, 72), 200), size="80", fit="keep") == []
    assert warned(met((72, 72), 200, resample="nearest"), size="80") == []
    assert not any("softens" in line for line in warned(met((16, 16), 200, resample="nearest")))
    assert not any("softens" in line for line in warned(met((400, 400), 200)))  # nobody asked to train at that


def test_reductions():
    line = only(met((64, 64), 200) + met((257, 257), 2) + met((400, 300), 1, "boss"))
    assert line.startswith("3 of 203 images are reduced more than 4 times (up to boss0.png, 400x300)")
    assert "take --size 112x80" in line or "take --size 112x84" in line or "take --size 112x112" in line
    assert warned(met((64, 64), 200) + met((256, 256), 2)) == []


def test_enlargements():
    line = only(met((64, 64), 200) + met((60, 50), 2))
    assert line.startswith("2 of 202 images are enlarged (such as a0.png, 60x50)") and "--fit keep" in line
    art = only(met((16, 16), 200, resample="nearest"))
    assert art.startswith("all 200 images are enlarged") and "--size 16x16 suits most" in art
    assert warned(met((50, 50), 200) + met((64, 64), 201), fit="keep") == []


def test_sizes_that_differ_much():
    pictures = met((32, 32), 100, "gem") + met((96, 96), 100, "boss")
    assert any(line.startswith("sizes differ much (such as gem10.png, 32x32 and boss") for line in warned(pictures))
    assert any("--size 96x96 --fit keep" in line for line in warned(pictures))
    assert not any("differ" in line for line in warned(pictures, size="96", fit="keep"))
    assert not any("differ" in line for line in warned(met((64, 64), 250) + met((20, 20), 5)))  # a few always do


def test_what_keep_cuts_off():
    line = only(met((64, 64), 200) + met((90, 70), 2, cut=True) + met((70, 70), 1), fit="keep")
    assert line.startswith("2 of 203 images are cut off at the edges by --fit keep")
    holds = parse_size(re.search(r"--size (\S+) holds", line)[1])
    assert holds.width >= 90 and holds.height >= 70


def test_pictures_with_and_without_transparency():
    clear, opaque = met((64, 64), 200, opaque=False), met((64, 64), 3, "tile")
    assert only(clear + opaque, channels=4).startswith("3 of 203 images have no transparency (such as tile0.png")
    most = met((64, 64), 300)
    assert "--channels 3" in only(clear + most, channels=4)
    assert warned(clear + opaque, channels=3) == [] and warned(most, channels=4) == []


def test_pictures_that_look_nearly_alike_are_counted_with_an_example():
    assert alike(met((8, 8), 9), []) == []
    (line,) = alike(met((8, 8), 9), [("b.png", "a.png")])
    assert line.startswith("1 of 9 images looks nearly like an earlier one (b.png and a.png): ")
    (line,) = alike(met((8, 8), 9), [("b.png", "a.png")] * 8)
    assert "all are listed in dataset.json" in line and "about 1 different thing:" in line


def test_a_size_that_no_network_makes_is_refused_with_the_ways_to_keep_it():
    assert size_of("64x96") == parse_size("64x96")
    with pytest.raises(SpecError, match=r"use 80x80 or 64x64; .*--size 80x80 --fit keep .* or --size 64x64 --fit keep"):
        size_of("72")
    for text in ("0", "5000", "x", "600"):
        with pytest.raises(SpecError) as error:
            size_of(text)
        assert "--fit" not in str(error.value)
