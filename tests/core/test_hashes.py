"""Lists of hashes: what is written is read, and coreutils agrees."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.hashes import hashes_of, parse_sums, render_sums

NAMES = st.text(st.characters(codec="ascii", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.dictionaries(NAMES, DIGESTS, max_size=4))
def test_what_is_written_is_read(hashes):
    assert parse_sums(render_sums(hashes)) == hashes
    assert render_sums(hashes) == render_sums(dict(reversed(hashes.items())))


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_coreutils_checks_what_is_written(tmp_path):
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "SUMS").write_text(render_sums(hashes_of(tmp_path, ["b", "a"])))
    check = ["sha256sum", "--strict", "-c", "SUMS"]
    done = subprocess.run(check, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "a: OK\nb: OK\n"
    (tmp_path / "b").write_bytes(b"three")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode
