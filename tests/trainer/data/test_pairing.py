import pytest

from trainer.data.pairing import Key, Pairing, pair_up, stem_of, unwrapped


def keys(*names):
    return [Key(tuple(name.split("/"))) for name in names]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.png", "a"),
        ("a.b.PNG", "a.b"),
        ("walk.0001", "walk.0001"),
        ("walk.0001.png", "walk.0001"),
        ("odd.texture", "odd"),
        ("plain", "plain"),
        (".png", ".png"),
    ],
)
def test_an_ending_is_no_part_of_a_name(name, stem):
    assert stem_of(name) == stem


def test_names_of_sprites_keep_what_is_no_image_ending():
    assert stem_of("idle.left", any_ending=False) == "idle.left"
    assert stem_of("idle.left.png", any_ending=False) == "idle.left"


def test_pairs_are_in_the_order_of_the_targets_names_whatever_order_they_come_in():
    found = pair_up(keys("c", "a", "sub/b"), keys("sub/b", "c", "a"))
    assert found.pairs == [(1, 2), (0, 1), (2, 0)]
    assert found.alone == ([], []) and found.said == ""


def test_orphans_of_both_sides_are_named():
    found = pair_up(keys("a", "b"), keys("b", "c", "sub/a"))
    assert found.pairs == [(1, 0)]
    assert found.alone == ([(0, "no source of its name")], [(1, "no target of its name"), (2, "no target of its name")])


def test_a_name_that_is_there_twice_belongs_to_none():
    (pairs, (targets, sources)) = (lambda found: (found.pairs, found.alone))(
        pair_up(keys("a", "b"), keys("a", "a", "b"))
    )
    assert pairs == [(1, 2)]
    assert targets[0][0] == 0 and "several sources" in targets[0][1]
    assert [row for row, _ in sources] == [0, 1] and all("not known" in why for _, why in sources)


def test_a_source_of_two_targets_is_of_neither():
    found = pair_up(keys("a", "a", "b"), keys("a", "b"))
    assert found.pairs == [(2, 1)]
    assert found.alone[1] == [(0, "several targets of its name, so which one is meant is not known")]
    assert [row for row, _ in found.alone[0]] == [0, 1]


def test_capitals_do_not_matter_where_only_one_is_meant():
    found = pair_up(keys("Hero", "orc", "Elf", "elf"), keys("hero", "ORC", "ELF"))
    assert found.pairs == [(0, 0), (1, 1)]
    assert "2 by names" in found.said
    exact = pair_up(keys("Elf", "elf"), keys("elf", "Elf"))
    assert exact.pairs == [(0, 1), (1, 0)]


def test_folders_around_a_whole_side_do_not_matter_if_nothing_pairs_with_them():
    found = pair_up(keys("colour/x/a", "colour/y/a"), keys("lines/x/a", "lines/y/a"))
    assert found.pairs == [(0, 0), (1, 1)] and "below the folders" in found.said
    assert pair_up(keys("orc/a", "elf/a"), keys("elf/a", "hut/a")).pairs == [(1, 0)]


def test_what_all_names_of_a_side_begin_or_end_with_does_not_matter_if_nothing_pairs_with_it():
    targets, sources = keys("hero_colour", "orc_colour", "elf_colour"), keys("v2/ink-orc_lines", "v2/ink-hero_lines")
    found = pair_up(targets, sources)
    assert found.pairs == [(0, 1), (1, 0)] and "begin or end with" in found.said
    assert found.alone == ([(2, "no source of its name")], [])
    numbered = pair_up(keys(*(f"frame_{n}" for n in range(1, 13))), keys("line_10", "line_11", "line_12"))
    assert numbered.pairs == [(9, 0), (10, 1), (11, 2)]
    both = pair_up(keys("Hero_a", "orc_a"), keys("hero_x", "orc_x"))
    assert (
        both.said
        == "by names without what all of a side begin or end with, 1 by names that are the same but for capitals"
    )
    assert pair_up(keys("hero_a", "hero_b"), keys("hero_x", "hero_y")) == Pairing(
        [], ([(row, "no source of its name") for row in (0, 1)], [(row, "no target of its name") for row in (0, 1)])
    )


def test_two_sheets_pair_cell_by_cell_whatever_they_are_called():
    targets, sources = ([Key((name,), number) for number in (1, 2, 3)] for name in ("colour", "lines"))
    assert pair_up(targets, sources).pairs == [(0, 0), (1, 1), (2, 2)]
    assert pair_up(targets, keys("x", "y")).pairs == []


def test_unwrapped_leaves_the_names_of_files():
    assert unwrapped(keys("a/b", "a/c/d")) == keys("b", "c/d")
    assert unwrapped(keys("a/b")) == keys("b")
    assert unwrapped(keys("b", "a/b")) == keys("b", "a/b")
    assert unwrapped(keys("a/b/x", "a/b/c/y", "a/b/c/z")) == keys("x", "c/y", "c/z")
    assert unwrapped([]) == []
