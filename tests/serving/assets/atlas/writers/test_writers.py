"""Every format: each sprite is rebuilt exactly by an independent reader, whatever it is called."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import AssetError
from core.system import portable_name, usable_name
from serving.assets.atlas.layout import Packing
from serving.assets.atlas.model import Animation, Atlas, check_name
from serving.assets.atlas.packing import Packed, pack
from serving.assets.atlas.writers import WRITERS, godot, libgdx, plain, unity
from serving.assets.atlas.writers.texture_json import parsed
from serving.assets.sprite import Sprite
from serving.assets.steps.trim import Trim, trim
from tests.serving.assets.atlas.writers.readers import READERS
from tests.serving.assets.pictures import picture


def fair(name: str) -> bool:
    try:
        check_name("sprite", name)
    except AssetError:
        return False
    return True


SIGNS = st.sampled_from(list("aZ09 _-.,;:/\\%#\"'`<>&|{}[]()=@!?*$^~é漢🙂"))
names = (st.text(SIGNS, max_size=8) | st.text(max_size=8)).filter(fair)
WALK = Animation("walk", ("s0", "s1", "s2"), (100, 50, 150))
BOUNCE = Animation('b"o\\unce', ("s1", "s2", "s3"), (100, 100, 100), loop=False, way="pingpong")


def sprites_of(names, size=6):
    return {name: Sprite.of(picture(n, size, size, 0.15)) for n, name in enumerate(names)}


def packed_for(kind: str, sprites, **options) -> Packed:
    """As each format takes it: a grid for Tiled."""
    grid = kind == "tiled"
    return pack("hero", sprites, Packing(**{"size": 64, "extrude": 1, "grid": grid, **options}))


def pages_of(packed: Packed):
    return {page.image: pixels for page, pixels in zip(packed.atlas.pages, packed.pages, strict=True)}


def expected(kind: str, sprites):
    """What a format can say of a sprite: Unity's knows no source."""
    if kind == "unity":
        return {name: trim([sprite], Trim())[0].pixels for name, sprite in sprites.items()}
    return {name: sprite.pixels for name, sprite in sprites.items()}


def assert_rebuilt(kind: str, packed: Packed, sprites) -> None:
    read = READERS[kind](WRITERS[kind](packed.atlas), pages_of(packed))
    wanted = expected(kind, sprites)
    assert read.keys() == wanted.keys()
    for name, pixels in wanted.items():
        assert np.array_equal(read[name], pixels), name


def test_every_writer_has_a_reader():
    assert WRITERS.keys() == READERS.keys()


@pytest.mark.parametrize("size", [64, 16])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_sprite_is_rebuilt(kind, size):
    sprites = sprites_of([f"walk/{n}" for n in range(12)])
    packed = packed_for(kind, sprites, size=size)
    assert (len(packed.pages) > 1) == (size == 16)
    assert_rebuilt(kind, packed, sprites)


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=30)
@given(called=st.lists(names, min_size=1, max_size=5, unique=True))
def test_names_are_hostile(kind, called):
    sprites = sprites_of(called)
    packed = packed_for(kind, sprites)
    try:
        files = WRITERS[kind](packed.atlas)
    except AssetError as error:
        assert kind in ("libgdx", "unreal", "godot3", "godot4"), error
        assert "rename" in str(error)
        return
    for file in files:
        assert usable_name(portable_name(file.replace("%", ""))) == file.replace("%", "")
        assert "/" not in file
    assert_rebuilt(kind, packed, sprites)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_atlas_gives_the_same_bytes(kind):
    packed = packed_for(kind, sprites_of("abc"))
    assert WRITERS[kind](packed.atlas) == WRITERS[kind](packed.atlas)


@given(
    st.lists(names, min_size=1, max_size=5, unique=True),
    st.sampled_from(["forward", "reverse", "pingpong"]),
    st.booleans(),
    st.integers(1, 60_000),
)
def test_the_plain_format_holds_all(called, way, loop, duration):
    animation = Animation(called[0], tuple(called[::-1]), (duration,) * len(called), loop, way)
    sprites = {
        name: Sprite(sprite.pixels, sprite.source, pivot=(0.25, 1 / 3)) for name, sprite in sprites_of(called).items()
    }
    atlas = pack("hero", sprites, animations=[animation], borders={called[0]: (1, 2, 3, 0)}).atlas
    assert plain.parse(plain.render(atlas)) == atlas


@pytest.mark.parametrize("kind", ["json", "json-array", "pixi", "unreal"])
def test_texture_json_is_parsed_back(kind):
    sprites = {n: Sprite(s.pixels, s.source, pivot=(0.5, 1.0)) for n, s in sprites_of("abcdefghijkl").items()}
    atlas = pack("hero", sprites, Packing(16), borders={"a": (1, 2, 3, 4)}).atlas
    files = WRITERS[kind](atlas)
    read = parsed(files, files)
    assert tuple(page for page, _ in read) == atlas.pages
    assert {frame for _, frames in read for frame in frames} == set(atlas.frames)


@given(st.lists(names.filter(lambda name: ":" not in name), min_size=1, max_size=5, unique=True))
def test_libgdx_is_parsed_back(called):
    atlas = pack("hero", sprites_of(called), Packing(16), borders={called[0]: (1, 2, 3, 4)}).atlas
    read = libgdx.parse(libgdx.render(atlas))
    assert tuple(page for page, _ in read) == atlas.pages
    assert {frame for _, frames in read for frame in frames} == set(atlas.frames)


@given(st.lists(names, min_size=1, max_size=5, unique=True))
def test_unity_is_parsed_back(called):
    atlas = pack("hero", sprites_of(called), Packing(16)).atlas
    read = {frame.name: frame for frame in unity.parse(unity.render(atlas))}
    assert read.keys() == {frame.name for frame in atlas.frames}
    for frame in atlas.frames:
        same = read[frame.name]
        assert (same.page, same.x, same.y, same.width, same.height) == (
            frame.page, frame.x, frame.y, frame.width, frame.height)  # fmt: skip
        middle = same.pivot[0] * same.width + frame.offset[0], same.pivot[1] * same.height + frame.offset[1]
        assert middle == pytest.approx((frame.source[0] / 2, frame.source[1] / 2), abs=1e-6)


@pytest.fixture(scope="module")
def moving() -> Atlas:
    return pack("hero", sprites_of([f"s{n}" for n in range(5)]), Packing(64, grid=True), [WALK, BOUNCE]).atlas


def test_asepritetags_are_ranges_of_frames(moving):
    data = json.loads(WRITERS["aseprite"](moving)["hero.json"])
    shown = {
        tag["name"]: [(frame["filename"], frame["duration"]) for frame in data["frames"][tag["from"] : tag["to"] + 1]]
        for tag in data["meta"]["frameTags"]
    }
    assert shown["walk"] == [("s0", 100), ("s1", 50), ("s2", 150)]
    assert shown[BOUNCE.name] == [("s1", 100), ("s2", 100), ("s3", 100)]
    assert {tag["name"]: tag["direction"] for tag in data["meta"]["frameTags"]}[BOUNCE.name] == "pingpong"
    assert {frame["filename"] for frame in data["frames"]} == {"s0", "s1", "s2", "s3", "s4"}


def test_pixi_plays_forward_only(moving):
    data = json.loads(WRITERS["pixi"](moving)["hero.json"])
    assert data["animations"] == {"walk": ["s0", "s1", "s2"], BOUNCE.name: ["s1", "s2", "s3", "s2"]}
    assert "related_multi_packs" not in data["meta"]


def test_pixi_names_the_other_pages_and_no_animation_crosses_them():
    sprites = sprites_of([f"s{n}" for n in range(12)])
    first, *others = WRITERS["pixi"](pack("hero", sprites, Packing(16)).atlas).items()
    assert json.loads(first[1])["meta"]["related_multi_packs"] == [name for name, _ in others]
    across = Animation("all", tuple(sprites), (100,) * 12)
    with pytest.raises(AssetError, match="Pixi plays no animation across pages, such as 'all': raise size"):
        WRITERS["pixi"](pack("hero", sprites, Packing(16), [across]).atlas)


def test_godots_animations_last_as_long_as_they_should(moving):
    three, four = (WRITERS[kind](moving)["hero.frames.tres"] for kind in ("godot3", "godot4"))
    beats = re.search(r'"frames": \[ ([^\]]*) \], "loop": true, "name": "walk", "speed": 20 }', three)[1]
    assert re.findall(r"SubResource\( (\d) \)", beats) == ["1", "1", "2", "3", "3", "3"]
    held = re.search(r'"frames": \[ ([^\]]*) \], "loop": true, "name": &"walk", "speed": 20 }', four)[1]
    assert re.findall(r'"duration": (\S+), "texture": SubResource\("(\d)"\)', held) == [
        ("2.0", "1"), ("1.0", "2"), ("3.0", "3")]  # fmt: skip
    assert godot.quoted(BOUNCE.name) == '"b\\"o\\\\unce"'
    assert godot.quoted(BOUNCE.name) in three
    assert '"loop": false' in three


def test_phasers_animations_are_of_the_atlas(moving):
    anims = {anim["key"]: anim for anim in json.loads(WRITERS["phaser"](moving)["hero.anims.json"])["anims"]}
    assert [(f["key"], f["frame"], f["duration"]) for f in anims["walk"]["frames"]] == [
        ("hero", "s0", 50), ("hero", "s1", 0), ("hero", "s2", 100)]  # fmt: skip
    assert anims["walk"]["frameRate"] == 20
    assert (anims["walk"]["repeat"], anims["walk"]["yoyo"]) == (-1, False)
    assert (anims[BOUNCE.name]["repeat"], anims[BOUNCE.name]["yoyo"]) == (0, True)


def test_tiled_wants_a_grid(moving):
    said = WRITERS["tiled"](moving)["hero.tsx"]
    assert re.findall(r'<frame tileid="(\d)" duration="(\d+)"', said)[-3:] == [("1", "100"), ("2", "100"), ("3", "100")]
    with pytest.raises(AssetError, match="pack the atlas with grid = true"):
        WRITERS["tiled"](pack("hero", sprites_of("abc"), Packing(64)).atlas)


@pytest.mark.parametrize(
    ("kind", "called", "said"),
    [
        ("unreal", ["Walk", "walk"], "'Walk' and 'walk' are one name to Unreal"),
        ("unreal", ["a.b", "a b"], "are one name to Unreal"),
        ("godot3", ["Walk", "walk"], "are one file to some disks"),
        ("libgdx", ["a:b"], "libGDX cannot hold the colon in 'a:b'"),
    ],
)
def test_what_a_program_cannot_hold_is_said(kind, called, said):
    with pytest.raises(AssetError, match=said):
        WRITERS[kind](pack("hero", sprites_of(called)).atlas)
