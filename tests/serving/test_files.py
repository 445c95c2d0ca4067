import errno

import numpy as np
import pytest
from PIL import Image

from core import files as core_files
from core.errors import RequestRefused, ServerUnavailable, ServingError
from core.images import from_pillow
from serving import files
from serving.facts import describe, of_seed
from serving.files import Keeper, Picture, make_places, save_pictures
from tests.serving.conftest import SPEC


def images(seeds, fails_at=None):
    for seed in seeds:
        if seed == fails_at:
            raise ServerUnavailable("gone")
        yield seed, np.random.RandomState(seed % 1000).randint(0, 256, (8, 12, 4), np.uint8)


def save_samples(samples, out, *facts, sheet=None):
    """What ``sample`` does with images of seeds."""
    make_places(out, sheet)
    pictures = (Picture(f"{seed:010d}", image, of_seed({}, seed)) for seed, image in samples)
    return save_pictures(pictures, out, describe(*facts), Keeper())


def test_every_image_is_a_png_that_says_where_it_comes_from(tmp_path):
    seeds = [42, 0, 2**32 - 1]
    paths = save_samples(images(seeds), tmp_path / "new" / "out", SPEC, "tiny", "3", 0.7, "cat")
    assert [path.name for path in paths] == ["0000000042.png", "0000000000.png", "4294967295.png"]
    for path, (seed, image) in zip(paths, images(seeds), strict=True):
        with Image.open(path) as picture:
            assert (from_pillow(picture, 4) == image).all()
            text = picture.text
        assert text.pop("Software").startswith("Ganfoundry ")
        assert text == {
            "Model": "tiny",
            "Version": "3",
            "Seed": str(seed),
            "Truncation": "0.7",
            "Label": "cat",
            "Source": "trained on noise, CC0-1.0",
        }


def test_what_was_complete_is_kept_when_the_server_goes(tmp_path):
    with pytest.raises(ServerUnavailable):
        save_samples(images(range(9), fails_at=4), tmp_path, SPEC, "tiny", "1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{seed:010d}.png" for seed in range(4)]


def test_the_same_images_give_the_same_bytes(tmp_path):
    first = save_samples(images([1]), tmp_path / "a", SPEC, "tiny", "1")
    second = save_samples(images([1]), tmp_path / "b", SPEC, "tiny", "1")
    assert first[0].read_bytes() == second[0].read_bytes()


def never():
    pytest.fail("an image was asked for")
    yield


def test_a_sheet_that_is_a_folder_or_an_out_that_is_a_file_is_refused_before_any_image(tmp_path):
    (tmp_path / "file").touch()
    for out, sheet, named in (
        ("out", ".", str(tmp_path)),
        ("file", "sheet.png", "file"),
        ("file/out", "sheet.png", "file"),
        ("out", "file/sheet.png", "file"),
    ):
        with pytest.raises(RequestRefused, match=named) as raised:
            save_samples(never(), tmp_path / out, SPEC, "tiny", "1", sheet=tmp_path / sheet)
        assert "\n" not in str(raised.value)


def test_a_full_disk_is_said_and_what_is_complete_is_kept(tmp_path, monkeypatch):
    written = []

    def until_it_is_full(path, data):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/.tmp")
        core_files.write_atomic(path, data)
        written.append(path)

    monkeypatch.setattr(files, "write_atomic", until_it_is_full)
    with pytest.raises(ServingError, match=f"no room for {tmp_path}: make room .* what is complete is kept"):
        save_samples(images(range(5)), tmp_path, SPEC, "tiny", "1")
    assert sorted(tmp_path.iterdir()) == written
