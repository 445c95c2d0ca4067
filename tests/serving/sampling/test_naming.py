"""Names of pictures: different pictures have different names on every disk, and none is lost."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import cli
from core.errors import RequestRefused
from core.images import encode_png, from_pillow
from core.ours import signed_png
from core.system import fault_of_name, folded
from serving.client.sampler import Sampler
from serving.protocol.picture_texts import describe
from serving.sampling.naming import FIELDS, Naming, digits_of_index, names_of_classes, parse_names, text_in_names
from tests.running import output_of
from tests.serving.conftest import CODED, SPEC, make_bundle

ALIKE = (
    "sword 1",
    "sword+1",
    "sword/1",
    "sword%201",
    "Cat",
    "cat",
    "%43at",
    "%63at",
    "é",
    "e\u0301",
    "É",
    "all",
    "con",
)
SEEDS = st.integers(0, 2**32 - 1)
TEXTS = st.lists(
    st.text(st.sampled_from("aAbKks\u212aßéıI%4136/ .-_~:CONcon\u0301"), min_size=1), min_size=2, unique=True
)
PATTERNS = st.sampled_from(
    [
        "{label}_{seed}",
        "{seed}{label}",
        "{label}{seed}",
        "{label}{label}{seed}{label}",
        "a{seed}b{label}",
        "{label}_{index}",
    ]
)


@given(TEXTS, st.lists(SEEDS, min_size=1, max_size=3, unique=True), PATTERNS)
def test_no_two_pictures_have_one_name_on_any_disk(classes, seeds, pattern):
    naming = Naming(pattern, {"label", "seed"}, {"label", "seed"})
    labels = names_of_classes(classes)
    named = [
        naming.name({"label": labels[label], "seed": f"{seed:010d}", "index": f"{index:04d}"})
        for index, (label, seed) in enumerate((label, seed) for label in classes for seed in seeds)
    ]
    assert len(set(map(folded, named))) == len(classes) * len(seeds)
    assert [fault_of_name(f"{name}.png") for name in named] == [""] * len(named)
    assert not any(name[0] in " -." for name in named)


def test_names_that_need_nothing_stay_as_they_are():
    assert names_of_classes(["sword 1", "sword+1", "Füchse", "日本", "Cat"]) == {
        each: each for each in ("sword 1", "sword+1", "Füchse", "日本", "Cat")
    }


@pytest.mark.parametrize(
    ("label", "named"),
    [("a/b", "a%2Fb"), ("50%", "50%25"), ("~", "%7E"), ("con", "%63on"), (".hidden", "%2Ehidden"), ("-x", "%2Dx")],
)
def test_what_a_system_might_not_take_is_percent_encoded(label, named):
    """By RFC 3986, section 2.1: the byte in two hexadecimal digits."""
    (part,) = names_of_classes([label]).values()
    assert Naming("{label}", {"label"}).name({"label": part}) == named


def test_where_case_alone_differs_nothing_is_left_that_a_disk_could_confuse():
    assert list(names_of_classes(["Cat", "cat", "dog"]).values()) == ["%43at", "cat", "dog"]


def test_long_names_keep_their_beginning_and_differ():
    one, two = names_of_classes(["剣" * 90 + "a", "剣" * 90 + "b"]).values()
    assert one[:34] == two[:34] == "剣" * 34
    assert one != two
    assert max(len(each.encode()) for each in (one, two)) <= 120


def test_a_name_of_120_bytes_stays_and_a_longer_one_ends_in_its_digest():
    """The first 103 bytes of it, or as many as make whole letters, and 16 digits of the SHA-256 of the label."""
    surrogates = ("%ED%A0%80" * 14)[:103]
    for label, beginning, data in (
        ("a" * 121, "a" * 103, b"a" * 121),
        ("ä" * 61, "ä" * 51, ("ä" * 61).encode()),
        ("\ud800" * 14, surrogates, b"\xed\xa0\x80" * 14),
    ):
        named = f"{beginning}~{sha256(data).hexdigest()[:16]}"
        assert names_of_classes([label]) == {label: named}
        assert text_in_names(label) == named
    assert text_in_names("a" * 120) == "a" * 120


def test_texts_are_parts_of_names_as_they_are_where_systems_take_them():
    assert text_in_names("Cat a/b") == "Cat a%2Fb"


@pytest.mark.parametrize(("total", "digits"), [(1, 4), (10_000, 4), (10_001, 5), (100_000, 5), (100_001, 6)])
def test_numbers_have_as_many_digits_as_the_last_and_at_least_four(total, digits):
    assert digits_of_index(total) == digits


def test_a_pattern_is_text_and_fields_in_turn():
    assert parse_names("{label}_{seed}{other}.x") == [("", "label"), ("_", "seed"), ("", "other"), (".x", "")]
    assert Naming("{index}", {"label"}, {"label"}).name({"index": "0007"}) == "0007"
    assert Naming("a{label}b", {"label"}).name({"label": "x"}) == "axb"
    with pytest.raises(RequestRefused, match=r"one name: put \{seed\} and \{codes\} into it"):
        Naming("{label}", {"label", "seed", "codes"}, ["seed", "label", "codes"])
    with pytest.raises(RequestRefused, match=r"have no \{codes\}, they have seed, label, index"):
        Naming("{seed}{frame}{codes}", ["label", "seed"])
    with pytest.raises(RequestRefused, match=f"with any of {', '.join(FIELDS)}$"):
        parse_names("plain")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{sed}", "'sed' is no field: .* any of seed, label, truncation"),
        ("{seed:03}", "is no field"),
        ("{seed!r}", "is no field"),
        ("{}", "is no field"),
        ("{seed", "is no pattern"),
        ("plain", "has no field"),
        ("{label}/{seed}", "'/' cannot be in names on every system"),
        ("50%{seed}", "'%' cannot be in names"),
    ],
)
def test_what_is_no_pattern(pattern, said):
    with pytest.raises(RequestRefused, match=said):
        parse_names(pattern)


def test_every_field_is_in_the_help_and_in_the_message():
    names = ["seed", "label", "truncation", "codes", "code", "frame", "layers", "other", "index", "model", "version"]
    assert list(FIELDS) == [field for _, field in parse_names("".join(f"{{{name}}}" for name in names))] == names
    said = CliRunner(env={"COLUMNS": "500"}).invoke(cli.app, ["sample", "--help"]).output
    assert all(name in said for name in names)


# The command, straight from a bundle.


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Bundles with the classes ALIKE, without any, with codes, and of another network."""
    folder = tmp_path_factory.mktemp("bundles")
    specs = {"alike": replace(SPEC, classes=ALIKE), "plain": SPEC, "coded": CODED}
    made = {name: make_bundle(folder / name, spec) for name, spec in specs.items()}
    return made | {"other": make_bundle(folder / "other", SPEC, seed=1)}


@pytest.fixture
def sample(bundles, tmp_path):
    """The command; what it says, or the error of ours it ends with."""

    def run(bundle, *arguments, out="out", status=0):
        return output_of("sample", bundles[bundle], "--out", tmp_path / out, *arguments, status=status)

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(path):
    with Image.open(path) as picture:
        return from_pillow(picture, 4)


def test_the_count_is_the_count_of_files(sample, bundles, tmp_path):
    said = sample("alike", "--seeds", "3,9", "--every-class")
    assert f"{2 * len(ALIKE)} images in" in said
    assert len(set(map(folded, names(tmp_path / "out")))) == 2 * len(ALIKE)
    labels = names_of_classes(ALIKE)
    with Sampler.local(bundles["alike"]) as sampler:
        for label in ALIKE:
            (image,) = (image for _, image in sampler.sample([9], label=label))
            found = Naming("{label}_{seed}", {"label", "seed"}).name({"label": labels[label], "seed": f"{9:010d}"})
            assert (read(tmp_path / "out" / f"{found}.png") == image).all()
    assert "1 images in" in sample("plain", "--seeds", "3,3", out="twice")
    assert len(names(tmp_path / "twice")) == 1


def test_a_class_called_all_can_be_asked_for(sample, tmp_path):
    said = sample("alike", "--seeds", "3", "--label", "all")
    assert "1 images in" in said
    assert "--every-class" in said
    assert names(tmp_path / "out") == ["all_0000000003.png"]
    assert "goes with --seeds" in sample("plain", "--interpolate", "3,9", "--every-class", status=2)
    assert "leave --label out" in sample("alike", "--seeds", "3", "--label", "all", "--every-class", status=2)


def test_a_second_class_or_setting_never_replaces_the_first(sample, tmp_path):
    sample("alike", "--seeds", "3,9", "--label", "cat")
    sample("alike", "--seeds", "3,9", "--label", "Cat")
    assert len(names(tmp_path / "out")) == 4
    before = contents(tmp_path / "out")
    with pytest.raises(RequestRefused, match=r"is another picture: .* --out or --names, or give --overwrite"):
        sample("alike", "--seeds", "3,9", "--label", "Cat", "--truncation", "0.5")
    assert contents(tmp_path / "out") == before
    sample("alike", "--seeds", "3,9", "--label", "Cat", "--truncation", "0.5", "--names", "{label}_{seed}_{truncation}")
    assert len(names(tmp_path / "out")) == 6
    assert names(tmp_path / "out")[:2] == ["%43at_0000000003.png", "%43at_0000000003_0.5.png"]
    sample("alike", "--seeds", "3,9", "--label", "Cat", "--truncation", "0.5", "--overwrite")
    after = contents(tmp_path / "out")
    assert {name for name in before if before[name] != after[name]} == {f"%43at_{seed:010d}.png" for seed in (3, 9)}


def test_the_same_picture_may_be_made_again_and_one_that_was_touched_up_stays(sample, tmp_path):
    sheet = tmp_path / "sheet.png"
    for _ in range(2):
        sample("plain", "--seeds", "3,9", "--sheet", sheet)
    picture = tmp_path / "out" / "0000000009.png"
    image = read(picture)
    picture.write_bytes(encode_png(image ^ 1, describe(SPEC, "plain", "1")))  # a level of 255: another batch
    sample("plain", "--seeds", "3,9", "--sheet", sheet)
    assert (read(picture) == image).all()
    picture.write_bytes(encode_png(image ^ 2, describe(SPEC, "plain", "1")))
    with pytest.raises(RequestRefused, match=r"0000000009\.png is there and is another picture"):
        sample("plain", "--seeds", "3,9")
    assert (read(picture) == image ^ 2).all()
    with pytest.raises(RequestRefused, match=r"sheet\.png is there and is another picture"):
        sample("plain", "--seeds", "4,5", "--sheet", sheet)
    assert not (tmp_path / "out" / "0000000004.png").exists()


def test_an_animation_or_a_sheet_that_is_another_is_refused_before_anything_is_written(sample, tmp_path):
    first = ("plain", "--interpolate", "3,9", "--frames", 2, "--animation", tmp_path / "way.gif")
    sample(*first)
    for other in (
        ("plain", "--interpolate", "4,9", "--frames", 2, "--animation", tmp_path / "way.gif"),
        (*first, "--sheet", tmp_path / "sheet.png"),
    ):
        frames = tmp_path / "out" / "frames"
        (tmp_path / "sheet.png").write_bytes((frames / "frame_0000.png").read_bytes())
        (frames / "frame_0001.png").unlink(missing_ok=True)
        with pytest.raises(RequestRefused, match="is there and is another picture"):
            sample(*other)
        assert names(frames) == ["frame_0000.png"]


def test_what_is_somebody_elses_stays_even_with_overwrite(sample, tmp_path):
    (tmp_path / "out").mkdir()
    theirs = tmp_path / "out" / "0000000003.png"
    Image.new("RGBA", (12, 8)).save(theirs)
    kept = theirs.read_bytes()
    with pytest.raises(RequestRefused, match="Ganfoundry did not make it"):
        sample("plain", "--seeds", "3", "--overwrite")
    assert theirs.read_bytes() == kept


def test_a_sheet_never_takes_the_place_of_a_picture_of_the_same_command(sample, tmp_path):
    with pytest.raises(RequestRefused, match="would be two pictures of this command"):
        sample("plain", "--seeds", "3,9", "--sheet", tmp_path / "out" / "0000000003.png", "--overwrite")


def test_frames_of_a_longer_animation_are_never_mixed_with_others(sample, tmp_path):
    sample("plain", "--interpolate", "3,9", "--frames", 6, "--truncation", 0)  # all frames are one picture
    frames = tmp_path / "out" / "frames"
    before = contents(frames)
    with pytest.raises(RequestRefused, match=r"longer animation \(frame_0004\.png and on\): .*--overwrite"):
        sample("plain", "--interpolate", "3,9", "--frames", 4, "--truncation", 0)
    assert contents(frames) == before
    mine = frames / "frame_final.png"
    mine.write_bytes(signed_png(Image.new("L", (1, 1))))
    assert "4 frames in" in sample("plain", "--interpolate", "3,9", "--frames", 4, "--overwrite")
    assert names(frames) == [*(f"frame_{index:04d}.png" for index in range(4)), mine.name]
    assert names(tmp_path / "out") == ["frames", "interpolation.webp"]


def test_animations_of_two_classes_lie_side_by_side(sample, tmp_path):
    for label in ("cat", "Cat"):
        sample("alike", "--interpolate", "3,9", "--frames", 2, "--label", label)
    assert names(tmp_path / "out") == ["%43at_interpolation.webp", "cat_interpolation.webp", "frames"]
    assert len(names(tmp_path / "out" / "frames")) == 4


def test_sheets_larger_than_pillow_trusts_are_known_again(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4096)
    for _ in range(2):
        sample("plain", "--seeds", "0-3", "--sheet", tmp_path / "sheet.png")
    monkeypatch.setattr("serving.sampling.files._LARGE", 300)
    with pytest.raises(RequestRefused, match=r"sheet\.png is there and is another picture"):
        sample("plain", "--seeds", "4-7", "--sheet", tmp_path / "sheet.png")
    sample("plain", "--seeds", "4-7", "--sheet", tmp_path / "sheet.png", "--overwrite")
    assert Image.MAX_IMAGE_PIXELS == 4096


@pytest.mark.parametrize("signed", [True, False])
def test_what_is_no_frame_of_ours_is_not_deleted_with_an_older_animation(sample, tmp_path, signed):
    frames = tmp_path / "out" / "frames"
    frames.mkdir(parents=True)
    theirs, picture = frames / "frame_0007.png", Image.new("L", (3, 3))
    theirs.write_bytes(signed_png(picture)) if signed else picture.save(theirs)
    with pytest.raises(RequestRefused, match=r"frame_0007\.png"):
        sample("plain", "--interpolate", "3,9", "--frames", 4, "--overwrite")
    assert names(frames) == ["frame_0007.png"]


def test_values_that_six_digits_do_not_tell_apart_are_not_one_name(sample, tmp_path):
    assert "4 images in" in sample("coded", "--seeds", "7", "--code", "0=0.5..0.500002:4")
    files = names(tmp_path / "out" / "codes")
    found = [float(name.removeprefix("0000000007_code_0_").removesuffix(".png")) for name in files]
    assert np.array_equal(np.array(found, np.float32), np.linspace(0.5, 0.500002, 4).astype(np.float32))


@pytest.mark.parametrize(
    ("bundle", "arguments", "said"),
    [
        ("plain", ("--seeds", "3,9", "--names", "{truncation}"), r"one name: put \{seed\} into it"),
        (
            "plain",
            ("--seeds", "3,9", "--names", "{label}_{seed}"),
            r"have no \{label\}, they have seed, truncation, index",
        ),
        ("alike", ("--seeds", "3", "--every-class", "--names", "{seed}"), r"one name: put \{label\} into it"),
        ("plain", ("--interpolate", "3,9", "--names", "{seed}"), r"have no \{seed\}, they have truncation, frame"),
        ("plain", ("--seeds", "3,9", "--truncation", "0,1", "--names", "{index}{code}"), r"have no \{code\}"),
    ],
)
def test_a_pattern_that_does_not_fit_is_said_before_any_picture(sample, tmp_path, bundle, arguments, said):
    with pytest.raises(RequestRefused, match=said):
        sample(bundle, *arguments)
    assert not (tmp_path / "out").exists()


def test_unknown_fields_are_bad_usage_that_lists_the_known(sample):
    said = sample("plain", "--seeds", "3", "--names", "{sed}", status=2)
    assert all(field in said for field in ("seed", "label", "truncation", "version"))


def test_numbers_and_facts_are_fields(sample, bundles, tmp_path):
    sample("plain", "--seeds", "9,3", "--truncation", "0.7", "--names", "{model}-{index}-{truncation}")
    assert names(tmp_path / "out") == ["plain-0000-0.7.png", "plain-0001-0.7.png"]
    sample("coded", "--seeds", "9", "--code", "1=-0.5", "--names", "{codes}_{seed}", out="coded")
    assert names(tmp_path / "coded") == ["0,-0.5_0000000009.png"]


def test_what_killed_writers_left_is_swept_and_nothing_else(sample, tmp_path):
    out = tmp_path / "out"
    sample("plain", "--seeds", "3")
    whole = (out / "0000000003.png").read_bytes()
    ours = {".0000000009.png.abcd1234.tmp": whole[: len(whole) - 20], ".cat_1.png.abcd_234.tmp": b""}
    theirs = {".0000000009.png.abcd1234.tmp2": b"", ".x.png.abcd1234.tmp": b"my notes", ".y.tmp": whole}
    for name, data in {**ours, **theirs}.items():
        (out / name).write_bytes(data)
    (tmp_path / ".sheet.png.abcd1234.tmp").write_bytes(whole[:9])
    sample("plain", "--seeds", "3", "--sheet", tmp_path / "sheet.png")
    assert names(out) == sorted([*theirs, "0000000003.png"])
    assert names(tmp_path) == ["out", "sheet.png"]
