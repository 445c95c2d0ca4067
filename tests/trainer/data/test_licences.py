import io

import numpy as np
import pytest

from core.errors import DataError
from tests.trainer.pairs import paired_pack
from trainer.data import licences
from trainer.data.licences import CHOICES, answered, ask, may_ask, note, remarks, spelled
from trainer.data.pack import Pack, PackInfo, write_pack


@pytest.fixture
def pack(tmp_path):
    return write_pack(tmp_path / "pack", np.full((1, 8, 8, 1), 9, np.uint8), None, PackInfo("some", 8, 8, 1))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("cc by sa 4", "CC-BY-SA-4.0"),
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
        ("by-nc-nd 3.0", "CC-BY-NC-ND-3.0"),
        ("cc-by-2.5", "CC-BY-2.5"),
        ("cc by", "CC-BY-4.0"),
        ("cc0", "CC0-1.0"),
        ("Creative Commons Zero", "CC0-1.0"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPLv3", "GPL-3.0-only"),
        ("gnu general public license v2.0 or later", "GPL-2.0-or-later"),
        ("lgpl 2.1", "LGPL-2.1-only"),
        ("AGPL-3.0", "AGPL-3.0-only"),
        ("SIL Open Font License 1.1", "OFL-1.1"),
        ("ofl", "OFL-1.1"),
        ("mit license", "MIT"),
        ("apache 2", "Apache-2.0"),
        ("Own Work", "own work"),
        ("CC-BY-SA-3.0 OR GPL-2.0+", "CC-BY-SA-3.0 OR GPL-2.0-or-later"),
    ],
)
def test_what_people_say_has_a_name_in_spdx(said, name):
    assert spelled(said) == name
    assert spelled(name) == name


@pytest.mark.parametrize(
    "said",
    ["all rights reserved", "bought in a shop", "unlicensed", "CC BY 5", "cc by 4.5", "GPL 2.1", "see README", ""],
)
def test_other_words_have_none(said):
    assert spelled(said) == ""


@pytest.mark.parametrize(
    ("text", "licence"),
    [("2", "CC0-1.0"), (" 1 ", "own work"), ("cc by sa 4", "CC-BY-SA-4.0"), ("0", "0"), ("", ""), ("my own", "my own")],
)
def test_an_answer_is_a_number_a_name_or_words(text, licence):
    assert answered(text, CHOICES) == licence


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        (["3", "Ann and Bob"], ("CC-BY-4.0", "Ann and Bob")),
        (["CC0"], ("CC0-1.0", "")),
        (["ask my boss"], ("ask my boss", "")),
        ([""], ("", "")),
    ],
)
def test_the_question_is_asked_once_and_credit_where_it_is_wanted(answers, found):
    given, said = iter(answers), []
    assert ask(lambda question: next(given), said.append) == found
    assert next(given, None) is None
    assert all(any(name in line for line in said) for name, _ in CHOICES)


def test_what_is_said_is_kept_and_a_better_spelling_is_named(pack):
    (nothing,) = remarks(pack)
    assert "--licence NAME' notes it" in nothing and "CC-BY-SA-4.0" in nothing
    said = note(pack, "cc by sa 4", "")
    assert Pack.open(pack.path).info.licence == "cc by sa 4"
    assert f"data info {pack.path} --licence CC-BY-SA-4.0'" in remarks(said)[0]
    assert "--attribution NAMES'" in remarks(note(pack, "CC-BY-SA-4.0", ""))[0]
    for licence, credit in (("CC-BY-SA-4.0", "Ann"), ("all rights reserved", ""), ("MIT", "")):
        assert remarks(note(pack, licence, credit)) == []


def test_sources_may_have_a_licence_of_their_own(tmp_path):
    pack = note(paired_pack(tmp_path / "pairs"), "MIT", "")
    assert remarks(pack) == []
    noted = note(pack, "", "", "cc by", "")
    assert Pack.open(pack.path).info.sources.licence == "cc by" and noted.info.licence == "MIT"
    (line,) = remarks(noted)
    assert line.startswith("of the sources: ") and "--sources-licence CC-BY-4.0'" in line
    (line,) = remarks(note(noted, "", "", "CC-BY-4.0", ""))
    assert "--sources-attribution NAMES'" in line
    assert (
        remarks(note(noted, "", "", "CC-BY-4.0", " Ann ")) == []
        and Pack.open(pack.path).info.sources.attribution == "Ann"
    )
    Pack.open(pack.path).verify()


def test_what_has_no_sources_has_no_licence_of_them(pack):
    with pytest.raises(DataError, match="leave out --sources-licence"):
        note(pack, "", "", "MIT", "")


def test_noting_a_licence_changes_nothing_else_and_takes_nothing_back(pack):
    noted = note(note(pack, " CC0-1.0\n", "Ann"), "", "")
    assert (noted.info.licence, noted.info.attribution) == ("CC0-1.0", "Ann")
    opened = Pack.open(pack.path)
    assert opened.info == noted.info and opened.info.fingerprint == pack.info.fingerprint
    opened.verify()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stdin", "stdout", "ci", "asks"),
    [
        (Terminal, Terminal, "", True),
        (Terminal, Terminal, "false", True),
        (Terminal, Terminal, "true", False),
        (io.StringIO, Terminal, "", False),
        (Terminal, io.StringIO, "", False),
    ],
)
def test_nobody_is_asked_without_a_terminal_or_in_ci(monkeypatch, stdin, stdout, ci, asks):
    monkeypatch.setattr(licences.sys, "stdin", stdin())
    monkeypatch.setattr(licences.sys, "stdout", stdout())
    monkeypatch.setenv("CI", ci)
    assert may_ask() is asks
