import numpy as np
import pytest

from core.seed_sheets import cut
from tests.trainer.pairs import paired_pack, unpaired_pack
from trainer.data.contact import contact_sheet
from trainer.data.summary import describe, save_sheet


def opaque(cell, picture):
    """What a cell of a sheet shows where a picture is opaque, and what it should show."""
    seen = picture[..., 3] == 255
    return cell[seen], picture[seen][:, :3]


@pytest.mark.parametrize("source_side", [16, 8])
def test_each_source_is_left_of_its_image_and_as_large(tmp_path, source_side):
    pack = paired_pack(tmp_path / "pairs", source_side=source_side)
    page = contact_sheet(pack)
    cells, across = cut(page, 16, 36)
    assert (len(cells), across) == (32, 4)
    for place in (0, 31):
        row = np.linspace(0, 39, 32).round().astype(int)[place]
        source = pack.sources[row].repeat(16 // source_side, axis=0).repeat(16 // source_side, axis=1)
        for side, picture in ((cells[place][:, :16], source), (cells[place][:, 20:], pack.images[row])):
            shown, meant = opaque(side, picture)
            assert len(meant) and np.array_equal(shown, meant)


def test_of_two_domains_the_first_rows_are_sources(tmp_path):
    pack = unpaired_pack(tmp_path / "domains", count=40, sources=30)
    cells, across = cut(contact_sheet(pack), 16, 16)
    assert (len(cells), across) == (64, 8)
    for place, picture in ((0, pack.sources[0]), (29, pack.sources[29]), (32, pack.images[0]), (63, pack.images[39])):
        shown, meant = opaque(cells[place], picture)
        assert len(meant) and np.array_equal(shown, meant)


def test_the_table_says_what_sources_there_are_and_what_is_held_out(tmp_path):
    pairs = dict(describe(paired_pack(tmp_path / "pairs", source_side=8, source_channels=1)))
    assert pairs["sources"] == "one for each image: 8x8, 1 channels (grey)"
    assert (pairs["parts"], pairs["their licence"]) == ("train 28, validation 4, held 8", "that of the images")
    assert "their parts" not in pairs
    domains = dict(describe(unpaired_pack(tmp_path / "domains")))
    assert domains["sources"].startswith("30, which belong to no image: 16x16")
    assert domains["their parts"] == "train 21, validation 3, held 6"


def test_a_saved_sheet_says_what_is_where(tmp_path):
    pairs, domains = paired_pack(tmp_path / "pairs"), unpaired_pack(tmp_path / "domains")
    assert save_sheet(pairs, tmp_path / "a.png").endswith("a.png (each source left of its image)")
    assert save_sheet(domains, tmp_path / "b.png").endswith("b.png (rows of sources, then rows of images)")
