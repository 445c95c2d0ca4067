"""Interpolating, mixing and sweeping from the command line, through a real Triton."""

import numpy as np
import pytest
from PIL import Image

from core.difference import MOST_LEVELS, levels_apart
from core.errors import RequestRefused
from core.images import from_pillow
from core.latents import latents
from serving.client.sampler import Sampler
from serving.sampling.interpolation import slerp
from serving.sampling.sample import MOST_FRAMES, parse_truncations
from tests.running import output_of
from tests.serving.conftest import CLASSES, LAYERS, NOISY, SPEC, images_of_styles, style_weights, styles_of

FIRST, SECOND = style_weights()
BARE = ("--no-sheet-labels",)  # of a sheet: its pixels alone


@pytest.fixture
def sample(style_server, tmp_path):
    """The command; what it says, or the error of ours it ends with. Files go to ``out`` and the given places."""

    def run(model, *arguments, out="out"):
        return output_of("sample", model, "--out", tmp_path / out, "--url", style_server.url, *arguments)

    return run


@pytest.fixture
def images_of(style_server):
    """The images of seeds as the server makes them, by model."""

    def images(model, seeds, **more):
        with Sampler(model, style_server.url) as sampler:
            return np.stack([image for _, image in sampler.sample(seeds, **more)])

    return images


def read(path):
    with Image.open(path) as picture:
        return from_pillow(picture, 4)


def read_all(folder, pattern="*.png"):
    return np.stack([read(path) for path in sorted(folder.glob(pattern))])


def text_of(path):
    with Image.open(path) as picture:
        return picture.text


def animation(path):
    frames = []
    with Image.open(path) as picture:
        for index in range(picture.n_frames):
            picture.seek(index)
            frames.append(np.asarray(picture.convert("RGBA")))
    return np.stack(frames)


def cells(path, columns, height=8, width=12):
    page = read(path)
    rows = page.shape[0] // height
    assert page.shape == (rows * height, columns * width, 4)
    return page.reshape(rows, height, columns, width, 4).swapaxes(1, 2)


def test_an_interpolation_is_linear_in_w_with_each_seed_at_its_corner(sample, images_of, tmp_path):
    said = sample("styled", "--interpolate", "3,9,4", "--frames", 9, "--sheet", tmp_path / "sheet.png", *BARE)
    assert "9 frames" in said
    frames = read_all(tmp_path / "out" / "frames")
    a, b, c = styles_of(FIRST, latents([3, 9, 4], 8))
    path = np.stack(
        [a, a + (b - a) / 4, (a + b) / 2, b + (a - b) / 4, b, b + (c - b) / 4, (b + c) / 2, c + (b - c) / 4, c]
    )
    assert levels_apart(frames, images_of_styles(SPEC, SECOND, path)) <= MOST_LEVELS
    assert levels_apart(frames[[0, 4, 8]], images_of("styled", [3, 9, 4])) <= MOST_LEVELS
    visible = frames[..., 3] > 0
    assert (animation(tmp_path / "out" / "interpolation.webp")[visible] == frames[visible]).all()
    assert (cells(tmp_path / "sheet.png", 3).reshape(frames.shape) == frames).all()


def test_every_frame_says_what_it_is(sample, tmp_path):
    sample("styled", "--interpolate", "3,9", "--frames", 4, "--loop", "--truncation", 0.5)
    said = [text_of(tmp_path / "out" / "frames" / f"frame_{index:04d}.png") for index in range(4)]
    assert [each["Frame"] for each in said] == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert [each.get("Seed") for each in said] == ["3", None, "9", None]
    assert said[1]["Between"] == "0.5000 of the way from seed 3 to 9"
    assert said[3]["Between"] == "0.5000 of the way from seed 9 to 3"
    for each in said:
        assert (each["Model"], each["Version"], each["Truncation"]) == ("styled", "2", "0.5")
        assert each["Interpolation"] == "seeds 3, 9, and back, linear in w"
        assert each["Source"] == "trained on noise, CC0-1.0"


def test_a_loop_comes_back_without_a_doubled_frame(sample, images_of, tmp_path):
    sample("styled", "--interpolate", "3-5", "--frames", 6, "--loop")
    frames = read_all(tmp_path / "out" / "frames")
    assert levels_apart(frames[::2], images_of("styled", [3, 4, 5])) <= MOST_LEVELS
    a, c = styles_of(FIRST, latents([3, 5], 8))
    assert levels_apart(frames[5], images_of_styles(SPEC, SECOND, (a + c)[None] / 2)[0]) <= MOST_LEVELS
    assert len(np.unique(frames, axis=0)) == 6


def test_without_styles_it_is_spherical_in_z_and_corners_are_the_same_bytes(sample, style_server, tmp_path):
    sample("tiny", "--interpolate", "3,9", "--frames", 5, "--batch", 1, "--truncation", 0.6)
    sample("tiny", "--seeds", "3,9", "--batch", 1, "--truncation", 0.6, out="seeds")
    frames = read_all(tmp_path / "out" / "frames")
    assert (frames[[0, 4]] == read_all(tmp_path / "seeds")).all()
    a, b = latents([3, 9], 8)
    with Sampler("tiny", style_server.url) as sampler:
        (halfway,) = sampler.sample_latents(slerp(a, b, 0.5)[None], 0.6)
    assert levels_apart(frames[2], halfway) <= MOST_LEVELS
    assert text_of(tmp_path / "out" / "frames" / "frame_0002.png")["Interpolation"] == "seeds 3, 9, spherical in z"


def test_noise_and_labels_go_along(sample, images_of, tmp_path):
    sample("noisy", "--interpolate", "3,9", "--frames", 3)
    assert levels_apart(read_all(tmp_path / "out" / "frames")[[0, 2]], images_of("noisy", [3, 9])) <= MOST_LEVELS
    sample("animals", "--interpolate", "3,9", "--frames", 3, "--label", "bird", out="birds")
    birds = images_of("animals", [3, 9], label="bird")
    assert levels_apart(read_all(tmp_path / "birds" / "frames")[[0, 2]], birds) <= MOST_LEVELS
    assert text_of(tmp_path / "birds" / "frames" / "bird_frame_0001.png")["Label"] == "bird"


@pytest.mark.parametrize("suffix", [".gif", ".png", ".apng", ".webp"])
def test_the_animation_has_the_format_of_its_name(sample, tmp_path, suffix):
    sample("styled", "--interpolate", "3,9", "--frames", 4, "--animation", tmp_path / f"new/a{suffix}", "--fps", 10)
    frames, found = read_all(tmp_path / "out" / "frames"), animation(tmp_path / f"new/a{suffix}")
    assert found.shape == frames.shape
    if suffix == ".gif":
        assert ((found[..., 3] == 255) == (frames[..., 3] >= 128)).all()
    else:
        visible = frames[..., 3] > 0
        assert (found[visible] == frames[visible]).all()
        assert (found[..., 3] == frames[..., 3]).all()
    with Image.open(tmp_path / f"new/a{suffix}") as picture:
        picture.seek(1)
        picture.load()
        assert picture.info["duration"] == 100


def test_mixing_takes_the_named_layers_from_each_other_seed(sample, images_of, tmp_path):
    said = sample("styled", "--mix", "3,9,4", "--layers", "coarse", "--sheet", tmp_path / "sheet.png", *BARE)
    assert "layers 0-1 of 6" in said
    names = ["0000000003_coarse_from_0000000009.png", "0000000003_coarse_from_0000000004.png"]
    assert {path.name for path in (tmp_path / "out" / "mixed").iterdir()} == set(names)
    w = styles_of(FIRST, latents([3, 9, 4], 8))
    for name, other in zip(names, (1, 2), strict=True):
        mixed = np.concatenate([w[other, :2], w[0, 2:]])[None]
        image = read(tmp_path / "out" / "mixed" / name)
        assert levels_apart(image[None], images_of_styles(SPEC, SECOND, mixed)) <= MOST_LEVELS
        assert levels_apart(image, images_of("styled", [3])[0]) > 10
        said = text_of(tmp_path / "out" / "mixed" / name)
        assert (said["Seed"], said["Mixed"]) == ("3", f"layers 0-1 of 6 from {[3, 9, 4][other]}")
    table = cells(tmp_path / "sheet.png", 3)
    assert table[0, 0].max() == 0
    assert levels_apart(np.stack([*table[0, 1:], table[1, 0]]), images_of("styled", [9, 4, 3])) <= MOST_LEVELS
    assert (table[1, 1:] == np.stack([read(tmp_path / "out" / "mixed" / name) for name in names])).all()


def test_mixing_by_number_keeps_the_first_seeds_noise(sample, tmp_path):
    sample("noisy", "--mix", "3,9", "--layers", "2-5", "--truncation", 0.5)
    first, second = style_weights(NOISY)
    values = latents([3, 9], SPEC.latent_dim + NOISY.noise)
    w = styles_of(first, values[:, :8], 0.5)
    mixed = np.concatenate([w[0, :2], w[1, 2:]])[None]
    expected = images_of_styles(NOISY, second, mixed, values[:1, 8:])
    image = read(tmp_path / "out" / "mixed" / "0000000003_layers_2-5_from_0000000009.png")
    assert levels_apart(image[None], expected) <= MOST_LEVELS


def test_a_sweep_is_a_row_for_each_seed_and_a_column_for_each_truncation(sample, images_of, tmp_path):
    sample("styled", "--seeds", "3,9", "--truncation", "0,0.25,1", "--sheet", tmp_path / "sheet.png", *BARE)
    table = cells(tmp_path / "sheet.png", 3)
    assert len(list((tmp_path / "out" / "truncations").iterdir())) == 6
    for column, truncation in enumerate((0, 0.25, 1)):
        expected = images_of("styled", [3, 9], truncation=truncation)
        for row, seed in enumerate((3, 9)):
            path = tmp_path / "out" / "truncations" / f"{seed:010d}_truncation_{truncation:g}.png"
            assert levels_apart(read(path), expected[row]) <= MOST_LEVELS
            assert (table[row, column] == read(path)).all()
            assert (text_of(path)["Seed"], text_of(path)["Truncation"]) == (str(seed), f"{truncation:g}")
    assert (table[0, 0] == table[1, 0]).all()
    assert levels_apart(table[0, 2], table[1, 2]) > 10


def test_all_classes_are_a_row_each_and_a_column_for_each_seed(sample, images_of, tmp_path):
    sample("animals", "--seeds", "3,9", "--label", "all", "--truncation", 0.5, "--sheet", tmp_path / "sheet.png", *BARE)
    table = cells(tmp_path / "sheet.png", 2)
    assert len(table) == len(CLASSES)
    for row, label in enumerate(CLASSES):
        expected = images_of("animals", [3, 9], label=label, truncation=0.5)
        for column, seed in enumerate((3, 9)):
            path = tmp_path / "out" / f"{label}_{seed:010d}.png"
            assert levels_apart(read(path), expected[column]) <= MOST_LEVELS
            assert (table[row, column] == read(path)).all()
            assert (text_of(path)["Seed"], text_of(path)["Label"]) == (str(seed), label)


def test_a_way_of_a_code_is_a_column_for_each_value_while_the_others_stay(sample, images_of, tmp_path):
    sample(
        "coded", "--seeds", "3,9", "--code", "1=-2..2:3", "--code", "0=0.5", "--sheet", tmp_path / "sheet.png", *BARE
    )
    table = cells(tmp_path / "sheet.png", 3)
    for column, value in enumerate((-2, 0, 2)):
        expected = images_of("coded", [3, 9], codes=np.array([0.5, value], np.float32))
        for row, seed in enumerate((3, 9)):
            path = tmp_path / "out" / "codes" / f"{seed:010d}_code_1_{value}.png"
            assert levels_apart(read(path), expected[row]) <= MOST_LEVELS
            assert (table[row, column] == read(path)).all()
            assert text_of(path)["Code 1"] == str(value)
            assert text_of(path)["Codes"] == f"0.5,{value}"
    assert levels_apart(table[0, 0], table[0, 2]) > 10


def test_one_value_of_a_code_has_the_file_names_of_seeds(sample, images_of, tmp_path):
    sample("coded", "--seeds", "7", "--code", "0=1.5")
    expected = images_of("coded", [7], codes=np.array([1.5, 0], np.float32))
    assert levels_apart(read_all(tmp_path / "out"), expected) <= MOST_LEVELS


def test_one_truncation_has_the_file_names_it_always_had(sample, tmp_path):
    assert "1 images in" in sample("styled", "--seeds", "7", "--truncation", "0.7")
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == "0000000007.png"
    assert text_of(path)["Truncation"] == "0.7"


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        ("styled", ("--interpolate", "3"), "two seeds or more"),
        ("styled", ("--interpolate", "3-9", "--frames", 6), "choose from 7"),
        ("styled", ("--interpolate", "3-9", "--frames", MOST_FRAMES + 1), f"to {MOST_FRAMES}"),
        ("styled", ("--interpolate", "3,9", "--animation", "a.mp4"), r"'\.mp4' is no format"),
        ("styled", ("--interpolate", "3,9", "--truncation", "nan"), "truncation"),
        ("styled", ("--interpolate", "3,9", "--label", "cat"), "no classes"),
        ("styled", ("--mix", "3", "--layers", "fine"), "like --mix 3,9"),
        ("styled", ("--mix", "3,9", "--layers", "4-6"), f"which are 0-{LAYERS - 1}"),
        ("styled", ("--mix", "3,9", "--layers", "odd"), "coarse, middle, fine, or a range"),
        ("tiny", ("--mix", "3,9", "--layers", "fine"), "'tiny' version 1 has no styles"),
        ("styled", ("--seeds", "3", "--truncation", "0.5,0.50"), "given twice"),
        ("styled", ("--seeds", "3", "--label", "all"), "no classes"),
        ("styled", ("--seeds", "3", "--code", "0=1"), "no codes"),
        ("coded", ("--seeds", "3", "--code", "2=1"), "codes 0 to 1, not 2"),
        ("coded", ("--seeds", "3", "--code", "0=0..1", "--truncation", "0,1"), "a sheet has two sides"),
        ("animals", ("--seeds", "3", "--label", "brid"), "choose bird .*that the one"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_leaves_no_picture(sample, tmp_path, model, arguments, said):
    with pytest.raises(RequestRefused, match=said):
        sample(model, *arguments)
    assert not list(tmp_path.rglob("*.png"))
    assert not list(tmp_path.rglob("*.webp"))


@pytest.mark.parametrize(("text", "values"), [("1", [1]), ("0,0.25, 1", [0, 0.25, 1]), ("-0.5,1.5", [-0.5, 1.5])])
def test_truncations(text, values):
    assert parse_truncations(text) == values


@pytest.mark.parametrize("text", ["", "a", "0.5,", "0-1", ",".join(map(str, range(33)))])
def test_truncations_that_are_none(text):
    with pytest.raises(RequestRefused, match="truncation"):
        parse_truncations(text)
