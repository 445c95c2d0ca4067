"""``data`` as it is typed: what an import shows, and what of a pack can be noted later."""

from pathlib import Path

import numpy as np
from PIL import Image

from core.images import to_pillow
from tests.running import Run, assert_one_line, cli
from tests.trainer.conftest import blobs, outlines
from trainer.data.pack import Pack


def test_an_import_shows_what_it_did_and_never_waits_for_an_answer(here: Run, tmp_path: Path) -> None:
    (tmp_path / "sprites").mkdir()
    for index, image in enumerate(blobs(4)):
        to_pillow(image).save(tmp_path / "sprites" / f"{index}.png")
    done = here("data", "import", tmp_path / "sprites", tmp_path / "pack", "--size", "16")
    assert f"contact sheet: {tmp_path / 'pack' / 'sheet.png'}\n" in done.stdout
    with Image.open(tmp_path / "pack" / "sheet.png") as sheet:
        assert sheet.size[0] > 64
    assert "\nwarning: 4 images are few" in done.stdout and "--licence NAME' notes it" in done.stdout
    noted = here("data", "info", tmp_path / "pack", "--licence", "cc by 4", "--attribution", "Ann")
    assert "--licence CC-BY-4.0' spells it so" in noted.stdout and "warning: no licence" not in noted.stdout
    again = here("data", "info", tmp_path / "pack")
    assert "cc by 4 " in again.stdout and "Ann" in again.stdout and "warning: 4 images are few" in again.stdout


def test_relative_and_full_paths_mean_the_same(tmp_path: Path) -> None:
    (tmp_path / "sprites").mkdir()
    for index, image in enumerate(blobs(4)):
        to_pillow(image).save(tmp_path / "sprites" / f"{index}.png")
    assert cli("data", "import", "sprites", "relative", "--size", "16", cwd=tmp_path).returncode == 0
    full = cli("data", "import", tmp_path / "sprites", tmp_path / "full", "--size", "16")
    assert full.returncode == 0
    ours, theirs = (np.load(tmp_path / name / "images.npy") for name in ("relative", "full"))
    assert np.array_equal(ours, theirs)
    assert cli("data", "info", "relative", cwd=tmp_path).returncode == 0
    with Image.open(tmp_path / "relative" / "sheet.png") as sheet:
        assert sheet.width >= 32


def test_pairs_are_imported_shown_and_given_a_licence(here: Run, tmp_path: Path) -> None:
    """With every option that they have."""
    images = blobs(12)
    for side, pictures in (("colour", images), ("lines", outlines(images)[:, ::2, ::2])):
        (tmp_path / side).mkdir()
        for row, picture in enumerate(pictures):
            Image.fromarray(picture).save(tmp_path / side / f"{row // 2}_{row}.png")
    place, options = tmp_path / "pairs", ["--size", "16", "--source-size", "8", "--source-channels", "1"]
    command = ["data", "import", tmp_path / "colour", place, "--sources", tmp_path / "lines", *options]
    done = here(*command, "--held", "25%", "--group-by", "_", "--licence", "MIT", "--sources-licence", "cc by")
    assert done.returncode == 0, done.stderr
    assert "each source left of its image" in done.stdout and "--sources-licence CC-BY-4.0" in done.stdout
    made = Pack.open(place)
    assert made.sources is not None and made.sources.shape == (12, 8, 8, 1) and min(made.info.parts) > 0
    noted = here("data", "info", place, "--sources-licence", "CC-BY-4.0", "--sources-attribution", "Ann")
    assert "warning: of the sources" not in noted.stdout and "Ann" in noted.stdout
    assert_one_line(here(*command, "--overwrite", "--held", "0.25"), "--held 0.25", "10%")
    assert_one_line(here(*command, "--side-by-side"), "leave out --sources")
