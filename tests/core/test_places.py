"""What is in the way of something new is found before the work, and said in a line."""

import os
from pathlib import Path

import pytest

from core import places
from core.places import is_free, is_mounted, why_not


def test_an_empty_folder_and_no_folder_are_free_and_what_desktops_leave_does_not_count(tmp_path: Path) -> None:
    assert is_free(tmp_path / "absent")
    assert is_free(tmp_path)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).touch()
    assert is_free(tmp_path)
    (tmp_path / "Thumbs.dbx").touch()
    assert not is_free(tmp_path)
    assert not is_free(tmp_path / "Thumbs.dbx")


@pytest.mark.parametrize("name", ["link", "link/below", "link/below/deeper"])
def test_a_dangling_link_is_named_wherever_it_is_on_the_way(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("gone")
    assert "link is a link to gone, which is not there" in why_not(tmp_path / name)


def test_a_file_on_the_way_and_a_folder_that_may_not_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert "file is a file" in why_not(tmp_path / "file" / "below")
    assert why_not(tmp_path / "new" / "below") == ""
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs this may be allowed everything
    assert "may not be written to" in why_not(tmp_path / "new" / "below")


def test_a_mount_can_be_filled_but_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "is_mounted", lambda folder: folder == tmp_path)
    assert why_not(tmp_path) == ""
    (tmp_path / "file").touch()
    assert "cannot be replaced as a whole" in why_not(tmp_path)
    assert why_not(tmp_path, whole=False) == ""


def test_mounts_are_known(tmp_path: Path) -> None:
    assert is_mounted(Path("/proc"))
    assert not is_mounted(tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nul", "'nul' cannot be a name on Windows"),
        ("out/COM1.txt", "'COM1.txt' cannot be"),
        ("ends. /x", "ends in a dot or a space"),
        ("a" * 300, "longer than Windows' 259 characters"),
        ("sprites/out", ""),
    ],
)
def test_a_place_that_windows_would_turn_into_another(tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    assert why_not(Path("nul")) == ""
    monkeypatch.setattr("core.system.WINDOWS", True)
    assert says in why_not(Path(name))
    assert bool(why_not(Path(name))) == bool(says)
