"""What people see of a translating run: source, result and target in a row, and over time."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from core.images import Images, over_checkerboard
from core.networks.base import Translator
from core.seed_sheets import cut
from core.spec import GeneratorSpec, SourceSpec
from tests.trainer.conftest import blobs, tiny_config
from tests.trainer.pairs import paired_pack, unpaired_pack
from trainer.data.pack import Pack, PackInfo, SourcesInfo, write_pack
from trainer.hooks.collapse import PATIENCE, CollapseGuard
from trainer.hooks.log import Log
from trainer.hooks.preview import write_animation, write_preview, write_strip
from trainer.hooks.side_by_side import SideBySide
from trainer.metrics.held import pairs_of
from trainer.run import Run

SPEC = GeneratorSpec("unet", 16, 16, 4, 0, kind="image", source=SourceSpec(16, 16, 4))


class Dimming(Translator):
    """The source with so much of its light."""

    share = 1.0

    def forward(self, source: torch.Tensor) -> torch.Tensor:
        return (source + 1) * self.share - 1


def dimming(spec: GeneratorSpec = SPEC, share: float = 1.0) -> Dimming:
    made = Dimming(spec).eval()
    made.register_parameter("nothing", torch.nn.Parameter(torch.zeros(1)))
    made.share = share
    return made


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "run" / "samples").mkdir(parents=True)
    return Run(tmp_path / "run")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return paired_pack(tmp_path_factory.mktemp("pairs") / "pack", 100)


def same(shown: Images, picture: Images) -> bool:
    """Whether a picture on a page, RGB over checks, is ``picture``."""
    solid = picture[..., 3] == 255
    return bool((shown[solid] == picture[..., :3][solid]).all())


def test_a_row_holds_source_result_and_target_of_held_out_pairs(pairs: Pack) -> None:
    drawn = SideBySide(pairs, 12).sheet({"generator": dimming()})
    sources, targets = pairs_of(pairs, SPEC, "held", 12).all()
    assert [*drawn.columns] == ["source", "result", "target"] * 2
    assert len(drawn.cells) == 36
    for row in range(12):
        source, result, target = drawn.cells[3 * row : 3 * row + 3]
        assert (source == sources[row]).all() and (target == targets[row]).all()
        assert np.abs(result.astype(int) - sources[row]).max() <= 1
    assert drawn.title == ["pictures held out"]
    alone = SideBySide(replace(pairs, parts=None), 4).sheet({"generator": dimming()})
    assert alone.title == ["pictures trained on, as the pack holds none out"]


def test_sources_of_another_size_are_shown_as_large_as_their_targets(tmp_path: Path) -> None:
    pack = paired_pack(tmp_path / "pack", 60, side=16, channels=3, source_side=8, source_channels=1)
    spec = replace(SPEC, channels=3, source=SourceSpec(8, 8, 1))

    class Enlarging(Dimming):
        def forward(self, source: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.interpolate(source, scale_factor=2).expand(-1, 3, -1, -1)

    generator = Enlarging(spec).eval()
    generator.register_parameter("nothing", torch.nn.Parameter(torch.zeros(1)))
    cells = SideBySide(pack, 4).sheet({"generator": generator}).cells
    assert [cell.shape for cell in cells[:3]] == [(16, 16, 4), (16, 16, 3), (16, 16, 3)]
    source = pairs_of(pack, spec, "held", 4).all()[0][0]
    assert (cells[0][..., :3] == source.repeat(2, 0).repeat(2, 1)).all()  # its pixels are sharp
    assert (cells[0][..., 3] == 255).all()


def test_without_answers_the_way_back_is_shown_of_both_directions(tmp_path: Path) -> None:
    pack = unpaired_pack(tmp_path / "pack", 100, 80)
    back = replace(SPEC, source=SourceSpec(16, 16, 4, origin="images"))
    drawn = SideBySide(pack, 8).sheet({"a2b": dimming(share=0.5), "b2a": dimming(back)})
    assert [*drawn.columns[:3]] == ["source", "result", "and back"]
    assert len(drawn.cells) == 24
    lines, images = pack.gather_sources(pack.source_rows("held")), pack.gather(pack.rows("held"))
    for row, known in ((0, lines), (3, lines), (4, images), (7, images)):
        source, result, home = drawn.cells[3 * row : 3 * row + 3]
        assert (known == source).all(axis=(1, 2, 3)).any()
        assert np.abs(home[..., 3] - source[..., 3] / 2).max() <= 1  # whichever way was first
        assert result[..., 3].max() == (128 if known is lines else 255)


@pytest.mark.parametrize(
    ("parts", "source_parts", "said"),
    [
        ([2, 1, *[0] * 10], [0, 0], "a2b: pictures trained on, as the pack holds none out; b2a: pictures held out"),
        ([0] * 12, [0, 2], "a2b: pictures held out; b2a: pictures trained on, as the pack holds none out"),
        ([1, *[0] * 11], [1, 0], "pictures held out to choose the best generator by"),
    ],
)
def test_each_side_shows_the_best_part_that_it_has(
    parts: list[int], source_parts: list[int], said: str, tmp_path: Path
) -> None:
    made = SourcesInfo(16, 16, 4, paired=False)
    pictures = blobs(14)
    info = PackInfo("discs", 16, 16, 4, sources=made)
    pack = write_pack(
        tmp_path / "pack", pictures[:12], None, info, sources=pictures[12:], parts=parts, source_parts=source_parts
    )
    back = replace(SPEC, source=SourceSpec(16, 16, 4, origin="images"))
    drawn = SideBySide(pack, 2).sheet({"a2b": dimming(), "b2a": dimming(back)})
    assert drawn.title == [said]
    for cell, of, own in ((0, pictures[12:], source_parts), (3, pictures[:12], parts)):
        best = of[np.asarray(own) == max(own)]
        assert (best == drawn.cells[cell]).all(axis=(1, 2, 3)).any()


def test_the_pictures_of_a_run_show_results_over_time_between_source_and_target(pairs: Pack, run: Run) -> None:
    beside, generator = SideBySide(pairs, 12), dimming()
    sources, targets = pairs_of(pairs, SPEC, "held", 12).all()
    for moment, generator.share in ((100, 0.5), (200, 1.0)):
        write_preview(run, generator, 12, moment, beside.sheet({"generator": generator}))
    write_animation(run, SPEC)
    write_strip(run, SPEC)
    with Image.open(run.preview(200)) as page:
        assert page.info["Columns"] == "source, result, target"
        cells, across = cut(page, 16, 16)
        assert (len(cells), across) == (36, 6)
        assert same(cells[0], sources[0]) and same(cells[2], targets[0])
    with Image.open(run.root / "samples.gif") as animation:
        assert animation.n_frames == 2
    with Image.open(run.root / "progress.png") as page:
        assert "Legend" not in page.info
        strip, across = cut(page, 16, 16)
    assert (len(strip), across) == (4 * 8, 8)  # source, two moments, target
    assert all(
        same(strip[column], sources[column]) and same(strip[24 + column], targets[column]) for column in range(8)
    )
    dim, bright = strip[8], strip[16]
    assert same(bright, sources[0]) and not same(dim, sources[0])
    assert json.loads(json.dumps(over_checkerboard(sources[0], 2).tolist())) == bright.tolist()


def test_a_translator_that_makes_one_picture_of_all_is_noticed(pairs: Pack, tmp_path: Path) -> None:
    notes: list[str] = []
    config = tiny_config(learning_rate_g=4e-4)
    guard = CollapseGuard(Log(Run(tmp_path), lambda _: None, 0), pairs, config, lambda line: notes.append(line["note"]))
    average = dimming(share=0.0)
    average.show(pairs.gather_sources(pairs.rows("held")[:1]))
    for _ in range(PATIENCE):
        guard(SimpleNamespace(averages={"generator": average}))
    assert notes == []  # of one source there is one result
    average.show(pairs.gather_sources(pairs.rows("held")))
    for _ in range(PATIENCE):
        guard(SimpleNamespace(averages={"generator": average}))
    assert len(notes) == 1
    assert notes[0].startswith("the samples are nearly one picture (they differ by 0.0% of what the images do)")
    assert "--set learning_rate_g=0.0001" in notes[0]


def test_of_two_directions_either_is_watched(tmp_path: Path) -> None:
    pack, notes = unpaired_pack(tmp_path / "pack", 60, 50), list[str]()
    log = Log(Run(tmp_path), lambda _: None, 0)
    guard = CollapseGuard(log, pack, tiny_config(), lambda line: notes.append(line["note"]))
    back = dimming(replace(SPEC, source=SourceSpec(16, 16, 4, origin="images")), share=0.0)
    averages = {"a2b": dimming(), "b2a": back}
    for average, shown in zip(averages.values(), (pack.sources, pack.images), strict=True):
        average.show(shown[:16])
    for _ in range(PATIENCE):
        guard(SimpleNamespace(averages=averages))
    (note,) = notes
    assert note.startswith("the samples of b2a are nearly one picture (they differ by 0.0% of what the sources do)")
