"""Nothing of anyone's is replaced by any command, and what is in the way is found before the work."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.images import to_pillow
from tests.running import ROOT, TINY, assert_one_line, cli, here, pack  # noqa: F401 (fixtures)
from tests.trainer.conftest import blobs

TINY_RUN = (*TINY, "--kimg", 0.016)


@pytest.fixture
def sprites(tmp_path: Path) -> Path:
    folder = tmp_path / "sprites"
    folder.mkdir()
    for index, image in enumerate(blobs(4)):
        to_pillow(image).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def made(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A folder with a run and its bundle, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    assert cli("train", pack, "--out", folder / "run", *TINY_RUN).returncode == 0
    assert cli("export", folder / "run", "--out", folder / "bundle").returncode == 0
    return folder


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "run", tmp_path / "run")
    return Path(shutil.copytree(made / "bundle", tmp_path / "bundle"))


def photo(path: Path) -> bytes:
    Image.fromarray(np.full((8, 8, 3), 7, np.uint8)).save(path)
    return path.read_bytes()


def test_training_beside_somebodys_pictures_is_one_line_and_loses_none(here, pack, tmp_path):  # noqa: F811
    (tmp_path / "samples").mkdir()
    kept = [photo(tmp_path / "samples" / f"{number}.png") for number in (1, 2)]
    for more in ([], ["--no-resume"]):
        assert_one_line(here("train", pack, "--out", tmp_path, *TINY_RUN, *more), "holds samples", "another --out")
    assert [(tmp_path / "samples" / f"{number}.png").read_bytes() for number in (1, 2)] == kept


def test_a_run_goes_on_without_its_preset_and_settings(here, pack, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    assert (
        here("train", pack, "--out", out, "--preset", "r3gan-cpu", "--set", "width=4", "--kimg", 0.016).returncode == 0
    )
    done = here("train", pack, "--out", out, "--kimg", 0.08, "--set", "learning_rate_g=1e-5")
    assert done.returncode == 0, done.stderr
    assert "r3gan-cpu on discs" in done.stdout
    assert "learning_rate_g is 1e-05 from" in done.stdout
    assert_one_line(here("train", pack, "--out", out, "--preset", "dcgan"), "goes on without --preset")


def test_an_existing_empty_folder_is_taken_whatever_a_desktop_left(here, pack, sprites, tmp_path, monkeypatch):  # noqa: F811
    for name in ("pack", "run", "bundle"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".DS_Store").write_text("icons")
    assert here("data", "import", sprites, tmp_path / "pack", "--size", 16).returncode == 0
    assert here("train", pack, "--out", tmp_path / "run", *TINY_RUN).returncode == 0
    monkeypatch.chdir(tmp_path / "bundle")
    assert here("export", tmp_path / "run", "--out", ".").returncode == 0
    assert "manifest.json" in os.listdir()
    assert here("verify", tmp_path / "bundle").returncode == 0
    monkeypatch.chdir(tmp_path)
    assert here("data", "import", sprites, tmp_path / "pack", "--size", 16, "--overwrite").returncode == 0
    assert here("export", tmp_path / "run", "--out", tmp_path / "bundle", "--overwrite").returncode == 0
    assert all((tmp_path / name / ".DS_Store").read_text() == "icons" for name in ("pack", "run", "bundle"))


def test_what_is_not_ours_in_a_pack_or_bundle_is_named_and_kept(here, sprites, bundle, tmp_path):  # noqa: F811
    packed = tmp_path / "pack"
    again = ("data", "import", sprites, packed, "--size", 16, "--overwrite")
    assert here(*again).returncode == 0
    assert here("data", "info", packed).returncode == 0
    assert here(*again).returncode == 0  # a contact sheet is ours
    for name in ("notes.txt", "features/photo.png", "sheet.png"):
        (packed / name).parent.mkdir(exist_ok=True)
        kept = photo(packed / "x.png")
        (packed / "x.png").rename(packed / name)
        assert_one_line(here(*again), name)
        assert (packed / name).read_bytes() == kept
        (packed / name).unlink()
    export = ("export", tmp_path / "run", "--out", bundle, "--overwrite")
    (bundle / "photo.png").write_text("mine")
    assert_one_line(here(*export), "photo.png")
    (bundle / "photo.png").unlink()
    with (bundle / "CARD.md").open("a") as card:
        card.write("my notes")
    assert_one_line(here(*export), "somebody wrote in CARD.md")


def test_pictures_and_figures_never_replace_anyones(here, pack, bundle, tmp_path):  # noqa: F811
    mine, run = tmp_path / "mine.png", tmp_path / "run"
    kept = photo(mine)
    assert_one_line(here("data", "info", pack, "--sheet", mine), "mine.png", "--sheet")
    assert_one_line(here("plot", run, "--out", mine), "mine.png", "--out")
    assert_one_line(here("evaluate", run, pack, "--json", tmp_path / "mine.json"), "mine.png", "--json")
    assert mine.read_bytes() == kept
    for _ in range(2):  # what is ours may be made again
        assert here("plot", run, "--out", tmp_path / "plot.png").returncode == 0
        assert here("evaluate", bundle, pack, "--samples", 16).returncode == 0


@pytest.mark.parametrize("verb", ["import", "train", "export", "info", "plot", "publish"])
def test_a_dangling_link_is_found_before_the_work(here, pack, sprites, tmp_path, verb):  # noqa: F811
    link, nowhere = tmp_path / "link", tmp_path / "no such run"
    link.symlink_to("gone")
    commands = {
        "import": ("data", "import", sprites, link, "--size", 16),
        "train": ("train", pack, "--out", link),
        "export": ("export", nowhere, "--out", link),  # the place is looked at first
        "info": ("data", "info", pack, "--sheet", link / "sheet.png"),
        "plot": ("plot", nowhere, "--out", link / "plot.png"),
        "publish": ("publish", nowhere, "--name", "x", "--repository", link),
    }
    assert_one_line(here(*commands[verb]), "link is a link to gone, which is not there")
    assert not (tmp_path / "gone").exists()


def test_a_folder_named_in_latin_1_works_or_is_one_line(here, pack, sprites, tmp_path):  # noqa: F811
    place = tmp_path / os.fsdecode(b"caf\xe9")
    place.mkdir()
    for command in (
        ("data", "import", sprites, place / "pack", "--size", 16),
        ("data", "info", place / "pack"),
        ("train", place / "pack", "--out", tmp_path / "run", *TINY_RUN),
        ("export", tmp_path / "run", "--out", place / os.fsdecode(b"b\xfcndel")),
        ("verify", place / os.fsdecode(b"b\xfcndel")),
    ):
        done = here(*command)
        assert done.returncode == 0, done.stderr
    assert_one_line(here("train", pack, "--out", place / "run", *TINY_RUN), "is not written in UTF-8", "rename")
    assert not (place / "run").exists()


def test_make_clean_deletes_only_what_says_so(tmp_path):
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    tag = "Signature: 8a477f597d28d172789f06886806bc55\n"
    ours = {".venv": "ganfoundry", ".mypy_cache": "CACHEDIR.TAG", "ganfoundry.egg-info": "PKG-INFO"}
    said = {
        "ganfoundry": "made by make setup\n",
        "CACHEDIR.TAG": tag,
        "PKG-INFO": "Metadata-Version: 2.4\nName: ganfoundry\n",
    }
    for folder in (*ours, ".ruff_cache", "build", "mine.egg-info"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.txt").write_text("mine")
    clean = [tmp_path / "scripts" / "clean"]
    done = subprocess.run(clean, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count(" is kept: "), done.stderr) == (0, 4, "")
    assert len(list(tmp_path.glob("*/mine.txt"))) == 6
    for folder, mark in ours.items():
        (tmp_path / folder / mark).write_text(said[mark])
    (tmp_path / ".ruff_cache").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "CACHEDIR.TAG").write_text(tag)
    (tmp_path / ".ruff_cache").symlink_to("elsewhere")
    assert subprocess.run(clean, capture_output=True, text=True).stdout.startswith(".ruff_cache is kept")
    assert {path.name for path in tmp_path.iterdir()} == {
        "scripts",
        "elsewhere",
        ".ruff_cache",
        "build",
        "mine.egg-info",
    }


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_make_marks_an_environment_that_it_made_and_no_other(tmp_path):
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\nmkdir -p .venv/bin && printf '#!/bin/sh\\n' > .venv/bin/python && chmod +x .venv/bin/python\n"
    )
    python.chmod(0o755)
    for there in (False, True):
        place = tmp_path / f"there-{there}"
        place.mkdir()
        shutil.copy(ROOT / "Makefile", place)
        for name in ("pyproject.toml", "constraints.txt"):
            (place / name).touch()
        if there:
            (place / ".venv").mkdir()
        done = subprocess.run(["make", "setup", f"PYTHON={python}"], cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (place / ".venv" / "installed").exists()
        assert (place / ".venv" / "ganfoundry").exists() is not there
