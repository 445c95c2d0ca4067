import io
import itertools

import numpy as np
import pytest
from PIL import Image

from core.animation import FASTEST, animation_kind, encode_animation
from core.errors import RequestRefused
from core.images import clear_hidden_colour, to_pillow


def noise(channels, count=7, seed=0):
    frames = np.random.RandomState(seed).randint(0, 256, (count, 12, 10, channels), np.uint8)
    return clear_hidden_colour(frames)


def moving(count=6):
    """A sprite with a hole and soft edges that goes over transparency: what smears shows."""
    frames = np.zeros((count, 16, 16, 4), np.uint8)
    for i, frame in enumerate(frames):
        frame[i : i + 7, i : i + 7] = (250, 40 * i, 3, 255)
        frame[i + 3, i + 3] = 0
        frame[i, i : i + 7] = (250, 40 * i, 3, 127)
        frame[i + 6, i : i + 7] = (250, 40 * i, 3, 128)
    return frames


def decoded(data):
    """RGBA frames (n, h, w, 4), and milliseconds of each."""
    with Image.open(io.BytesIO(data)) as picture:
        frames, durations = [], []
        for index in range(picture.n_frames):
            picture.seek(index)
            frames.append(np.asarray(picture.convert("RGBA")))
            durations.append(picture.info["duration"])
        assert picture.info["loop"] == 0
        return np.stack(frames), durations


def as_rgba(frames):
    return np.stack([np.asarray(to_pillow(frame).convert("RGBA")) for frame in frames])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("frames", [noise(1), noise(3), noise(4), moving()], ids=["grey", "RGB", "RGBA", "moving"])
def test_animated_png_and_webp_are_exact(kind, frames):
    assert (decoded(encode_animation(frames, kind, 20))[0] == as_rgba(frames)).all()


def test_a_gif_is_transparent_below_half_and_never_smears():
    frames = moving()
    found, _ = decoded(encode_animation(frames, "GIF", 20))
    visible = frames[..., 3] >= 128
    assert ((found[..., 3] == 255) == visible).all()
    assert ((found[..., 3] == 0) == ~visible).all()
    assert (found[visible][:, :3] == frames[visible][:, :3]).all(), "few colours are kept as they are"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_without_alpha_is_opaque(channels):
    frames = noise(channels)
    found, _ = decoded(encode_animation(frames, "GIF", 20))
    assert found[..., 3].min() == 255
    if channels == 1:
        assert (found == as_rgba(frames)).all(), "256 greys have room"


def test_a_gif_of_many_colours_has_one_palette_near_them():
    steps = np.linspace(0, 255, 24).astype(np.uint8)
    plane = np.stack(np.meshgrid(steps, steps, steps[:6], indexing="ij"), axis=-1).reshape(6, 24, 24, 3)
    frames = np.concatenate([plane, np.full((6, 24, 24, 1), 255, np.uint8)], axis=-1)
    frames[0, 0, 0] = 0
    found, _ = decoded(encode_animation(frames, "GIF", 20))
    assert found[0, 0, 0, 3] == 0
    assert np.abs(found[..., :3].astype(int) - frames[..., :3]).mean() < 12
    assert len(np.unique(found.reshape(-1, 4), axis=0)) <= 256


def test_frames_with_nothing_to_see():
    found, _ = decoded(encode_animation(np.zeros((3, 8, 8, 4), np.uint8), "GIF", 20))
    assert found.max() == 0


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("fps", [0.5, 7, 20, 30, FASTEST])
def test_what_is_rounded_does_not_add_up(kind, fps):
    _, durations = decoded(encode_animation(noise(4, count=12), kind, fps))
    tick = 10 if kind == "GIF" else 1
    assert sum(durations) == pytest.approx(12_000 / fps, abs=tick / 2)
    assert max(abs(each - 1000 / fps) for each in durations) <= tick


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_it_says_what_it_is_and_is_the_same_bytes_again(kind):
    text = {"Model": "tiny", "Source": "noise, CC0"}
    data = encode_animation(moving(), kind, 20, text)
    assert data == encode_animation(moving(), kind, 20, text)
    with Image.open(io.BytesIO(data)) as picture:
        said = {
            "GIF": lambda: picture.info["comment"].decode(),
            "PNG": lambda: "; ".join(itertools.starmap("{}: {}".format, picture.text.items())),
            "WEBP": lambda: picture.getexif()[0x010E],
        }[kind]()
    assert said == "Model: tiny; Source: noise, CC0"


def test_the_format_is_that_of_the_suffix():
    kinds = [animation_kind(suffix) for suffix in (".gif", ".PNG", ".apng", ".webp")]
    assert kinds == ["GIF", "PNG", "PNG", "WEBP"]
    for suffix in (".mp4", ""):
        with pytest.raises(RequestRefused, match=r"choose \.gif, \.png, \.apng, \.webp"):
            animation_kind(suffix)


def blocks(data):
    """The parts of a GIF: its colour tables, the global one first, and how each frame is disposed of."""

    def table(flags, at):
        return data[at : at + 3 * 2 ** ((flags & 7) + 1)] if flags & 0x80 else b""

    tables, disposals, at = [table(data[10], 13)], [], 13
    at += len(tables[0])
    while data[at] != 0x3B:
        if data[at] == 0x21:  # an extension; 0xF9 is of the frame that follows
            if data[at + 1] == 0xF9:
                disposals.append(data[at + 3] >> 2 & 7)
            at += 2
        else:
            tables.append(table(data[at + 9], at + 10))
            at += 11 + len(tables[-1])
        while data[at]:
            at += data[at] + 1
        at += 1
    return tables, disposals


@pytest.mark.parametrize("frames", [moving(), noise(3)], ids=["moving", "many"])
def test_a_gif_has_one_palette_of_256_and_clears_each_frame(frames):
    (first, *others), disposals = blocks(encode_animation(frames, "GIF", 20, {"Model": "tiny"}))
    assert len(first) == 3 * 256
    assert set(others) <= {first, b""}
    assert disposals == [2] * len(frames)  # back to the background: what a frame does not cover is gone


def test_a_gif_has_room_for_256_colours_or_255_and_what_is_transparent():
    grey = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert (decoded_still(encode_animation(grey, "GIF", 20)) == as_rgba(grey)[0]).all()
    hole = np.repeat(grey, 4, axis=-1)
    hole[..., 3] = 255
    hole[0, 0, 0] = 0
    assert (decoded_still(encode_animation(hole, "GIF", 20)) == hole[0]).all()
    hole = np.concatenate([hole, hole[:, ::-1]])
    hole[1, 15, 0] = (0, 0, 0, 255)
    found, _ = decoded(encode_animation(hole, "GIF", 20))
    assert (found[..., 3] == hole[..., 3]).all()


def decoded_still(data):
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGBA"))
