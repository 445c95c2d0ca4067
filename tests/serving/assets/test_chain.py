"""Chains of steps: data in, a key and sprites out, and errors in the words of the file."""

import numpy as np
import pytest

from core.errors import AssetError
from serving.assets.chain import Chain
from serving.assets.steps import STEPS
from tests.serving.assets.pictures import picture

NEEDED = {"palette": {"learn": 4}, "directions": {"looks": "e"}}


def chain(folder, *steps):
    return Chain.of(list(steps), folder)


@pytest.mark.parametrize("name", STEPS)
def test_every_step_keeps_the_contract(name, tmp_path):
    steps = chain(tmp_path, {"step": name, **NEEDED.get(name, {})})
    images = [picture(seed, 6, 10) for seed in range(3)]
    before = [image.copy() for image in images]
    once, again = steps.run(images), steps.run(images)
    assert all(np.array_equal(a, b) for a, b in zip(images, before, strict=True))
    assert len(once) >= 3
    for sprite, same in zip(once, again, strict=True):
        assert sprite.pixels.dtype == np.uint8
        assert sprite.pixels.ndim == 3
        assert sprite.pixels.shape[2] == 4
        assert np.array_equal(sprite.pixels, same.pixels)
        assert sprite.whole().shape == (sprite.source[1], sprite.source[0], 4)
        assert STEPS[name].places or not sprite.trimmed
    assert steps.run([]) == []


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_of_all_channels_enter(channels, tmp_path):
    image = picture(0)[..., :channels]
    (sprite,) = Chain().run([image])
    assert np.array_equal(sprite.pixels[..., :channels], image)
    assert channels == 4 or (sprite.pixels[..., 3] == 255).all()


def test_a_key_is_of_what_is_done(tmp_path):
    plain = chain(tmp_path, "threshold", {"step": "enlarge", "times": 2})
    assert plain.key() == chain(tmp_path, {"step": "threshold", "below": 20}, "enlarge").key()
    assert plain.key() != chain(tmp_path, "enlarge", "threshold").key()
    assert plain.key() != chain(tmp_path, "threshold", {"step": "enlarge", "times": 3}).key()


def test_a_palette_file_counts_by_its_colours(tmp_path):
    (tmp_path / "a.hex").write_text("ff0000\n00ff00\n")
    (tmp_path / "b.gpl").write_text("GIMP Palette\n255 0 0\n0 255 0\n")
    keys = {chain(tmp_path, {"step": "palette", "file": name}).key() for name in ("a.hex", "b.gpl")}
    (tmp_path / "a.hex").write_text("ff0000\n00ff01\n")
    assert len(keys) == 1
    assert chain(tmp_path, {"step": "palette", "file": "a.hex"}).key() not in keys


def test_sprites_learn_one_palette_together(tmp_path):
    sprites = chain(tmp_path, {"step": "palette", "learn": 5}).run([picture(seed) for seed in range(4)])
    shown = {tuple(colour) for sprite in sprites for colour in sprite.pixels[..., :3].reshape(-1, 3).tolist()}
    assert len({sprite.palette for sprite in sprites}) == 1
    assert shown <= set(sprites[0].palette)
    assert len(sprites[0].palette) == 5


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("trim", "steps must be a list"),
        ([3], "step 1 is 3: give a name"),
        (["trimm"], r"step 1 \(trimm\): step is 'trimm': did you mean trim\?"),
        ([{"step": "enlarge", "times": 5}], r"step 1 \(enlarge\): times is 5: choose from 2, 3, 4"),
        ([{"step": "enlarge", "times": True}], "times is True"),
        ([{"step": "enlarge", "time": 2}], r"time is no setting here: did you mean times\?"),
        ([{"step": "threshold", "below": 0}], "below is 0: give a whole number, 1 to 255"),
        ([{"step": "threshold", "below": "20"}], "below is '20'"),
        ([{"step": "outline", "colour": "red"}], "colour is 'red': give a colour as six hexadecimal digits"),
        ([{"step": "outline", "grow": 1}], "grow is 1: give true or false"),
        (["directions"], r"step 1 \(directions\) needs a setting: looks"),
        ([{"step": "directions", "looks": "left"}], "looks is 'left'"),
        ([{"step": "palette"}], "a palette is one of file"),
        ([{"step": "palette", "colours": "#ff0000"}], "give a list of colours"),
        ([{"step": "palette", "colours": ["#ff0000", "#FF0000"]}], "has #ff0000 twice"),
        ([{"step": "palette", "colours": ["#ff0000"], "learn": 2}], "a palette is one of file"),
        ([{"step": "palette", "file": "no.gpl"}], "No such file"),
        ([{"step": "palette", "learn": 257}], "learn is 257"),
        ([{"step": "tileable", "most": float("nan")}], "most is nan"),
        (["trim", "enlarge"], r"step 2 \(enlarge\) moves pixels that trim has placed: put trim after it"),
        (["premultiply", "bleed"], "premultiply must be the last step"),
        (["bleed"] * 65, "65 steps are too many"),
        ([{"step": ["trim"]}], "step 1 is"),
        ([{"step": "trim", "margin": []}], r"margin is \(\)"),
    ],
)
def test_errors_say_what_to_write(steps, said, tmp_path):
    with pytest.raises(AssetError, match=said) as caught:
        Chain.of(steps, tmp_path)
    assert "\n" not in str(caught.value)
