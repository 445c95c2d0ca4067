"""Names on pictures: whole where they can be, and never a row of boxes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from core import lettering
from core.lettering import SIZE, font_for, legible, one_line, shortened, width_of

LONG = "a goblin with a very long name, of sixty letters at the least"


@pytest.fixture
def no_fonts(monkeypatch):
    """A machine with no font but Pillow's own."""
    monkeypatch.setattr(lettering, "_MORE", ())


def test_plain_names_are_written_as_they_are_in_pillow_s_own_font(no_fonts):
    assert legible(["cat", "snake.py", "sword +1"], 200) == (["cat", "snake.py", "sword +1"], {})
    assert width_of("snake.py") == pytest.approx(ImageFont.load_default(SIZE).getlength("snake.py"), abs=1)


def test_what_no_font_can_write_is_its_number_and_stands_in_the_legend(no_fonts):
    written, legend = legible(["cat", "日本", "猫 cat", "a\u200bb"], 200)
    assert written == ["cat", "#1", "#2", "#3"]
    assert legend == {"#1": "日本", "#2": "猫 cat", "#3": "a\u200bb"}


def test_a_font_of_the_system_is_asked_before_that(monkeypatch):
    """Any font that has the letter will do; here the very one that has not, told that it has."""
    monkeypatch.setattr(lettering, "_MORE", ("there.ttf",))
    fonts = {"": ImageFont.load_default(SIZE), "there.ttf": ImageFont.load_default(SIZE + 1)}
    monkeypatch.setattr(lettering, "_font", fonts.get)
    has = lettering._has
    monkeypatch.setattr(lettering, "_has", lambda font, letter: font is fonts["there.ttf"] or has(font, letter))
    assert (font_for("cat"), font_for("日本")) == (fonts[""], fonts["there.ttf"])
    assert legible(["日本"], 200) == (["日本"], {})


def test_long_names_keep_both_ends_and_say_which_they_are(no_fonts):
    others = [f"{LONG} {end}" for end in ("one", "two")]
    (first, second), legend = legible(others, 150)
    assert first.startswith("#0 a gob") and first.endswith("one") and "…" in first
    assert second.startswith("#1 a gob") and second.endswith("two")
    assert max(map(width_of, (first, second))) <= 150
    assert legend == {"#0": others[0], "#1": others[1]}


def test_names_that_would_look_alike_are_numbered(no_fonts):
    written, legend = legible(["a b", "a  b", "#0", ""], 200)
    assert written == ["#0 a b", "#1 a b", "#2 #0", "#3"]
    assert list(legend.values()) == ["a b", "a  b", "#0", ""]


@given(
    st.lists(st.text(st.sampled_from("ab #0日é\u0301 \n"), max_size=40), max_size=6, unique=True), st.integers(20, 200)
)
def test_no_two_names_are_written_alike_and_what_is_not_whole_is_in_the_legend(names, most):
    written, legend = legible(names, most)
    assert len(set(written)) == len(names)
    for index, (name, text) in enumerate(zip(names, written, strict=True)):
        assert text == one_line(name) or (text.split()[0] == f"#{index}" and legend[f"#{index}"] == name)
        assert text.startswith("#") or width_of(text) <= most


@pytest.mark.parametrize("most", [5, 20, 50, 1000])
def test_what_is_shortened_fits(most):
    assert width_of(shortened(LONG * 9, most)) <= max(most, width_of("…"))
    assert shortened("cat", 1000) == "cat"
