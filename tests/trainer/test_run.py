"""What a run leaves: its log, its pictures, its layers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont, ImageSequence

from core.errors import TrainingError
from core.images import encode_png
from core.latents import latents
from core.lettering import SIZE
from core.networks import build_discriminator, build_generator
from core.pixels import to_pixels
from core.seed_sheets import cut
from core.sheets import Pages, Sheet
from core.spec import GeneratorSpec, Provenance
from trainer.hooks.curves import plot_losses
from trainer.hooks.preview import HEAD, preview_images, write_animation, write_preview, write_strip
from trainer.planning import layers
from trainer.run import Run

ORIGIN = Provenance(data_name="toys", data_licence="CC-BY-4.0", data_attribution="by Ann")
SPEC = GeneratorSpec("dcgan", 16, 16, 4, 8, options={"width": 4}, provenance=ORIGIN)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "samples").mkdir()
    return Run(tmp_path)


def test_a_line_cut_off_by_a_crash_is_forgotten_and_damage_before_it_is_not(run: Run) -> None:
    run.append_log({"images": 1})
    run.append_log({"images": 2})
    whole = run.log.read_text()
    run.log.write_text(whole + '{"images": 3, "lo')
    assert [line["images"] for line in run.read_log()] == [1, 2]
    for line in (b"{broken", b"[]", b"5", b"null", b'{"a": 1}', b'{"images": "x"}', b"\xff\xfe"):
        run.log.write_bytes(line + b"\n" + whole.encode())
        with pytest.raises(TrainingError, match="line 1 is damaged"):
            run.read_log()


def test_rewinding_forgets_what_came_after(run: Run) -> None:
    generator = build_generator(SPEC).eval()
    for images in (10, 20, 30):
        run.append_log({"images": images})
        write_preview(run, generator, 4, images)
    run.rewind(20)
    assert [line["images"] for line in run.read_log()] == [10, 20]
    assert [moment for moment, _ in run.previews()] == [10, 20]


def test_a_preview_shows_the_seeds_0_and_up_whatever_the_batch() -> None:
    generator = build_generator(SPEC).eval()
    shown = preview_images(generator, 70)
    with torch.no_grad():
        alone = to_pixels(generator(torch.from_numpy(latents([69], 8))), SPEC.value_range).numpy()
    assert shown.shape == (70, 16, 16, 4)
    assert np.abs(shown[69].astype(int) - alone[0].astype(int)).max() <= 1


def test_a_preview_of_a_conditional_generator_shows_the_classes_in_turn() -> None:
    spec = GeneratorSpec("progressive", 16, 16, 3, 8, classes=("a", "b", "c"), options={"width": 8})
    generator = build_generator(spec).eval()
    shown = preview_images(generator, 5)
    with torch.no_grad():
        alone = to_pixels(generator(torch.from_numpy(latents([4], 8)), torch.tensor([1])), spec.value_range).numpy()
    assert np.abs(shown[4].astype(int) - alone[0].astype(int)).max() <= 1


def test_a_preview_says_when_it_was_and_where_its_seeds_lie(run: Run) -> None:
    generator = build_generator(SPEC).eval()
    write_preview(run, generator, 4, 10)
    with Image.open(run.preview(10)) as picture:
        cells, across = cut(picture, 16, 16)
        said = picture.info
    assert (said["Source"], said["Attribution"], said["Page"]) == ("trained on toys, CC-BY-4.0", "by Ann", "1 of 1")
    assert (len(cells), across) == (4, 2)
    for cell, image in zip(cells, preview_images(generator, 4), strict=True):
        opaque = image[..., 3] == 255
        assert np.array_equal(cell[opaque], image[..., :3][opaque])


def test_animation_and_strip_show_every_moment_of_bare_previews_of_before_too(run: Run) -> None:
    page = np.full((32, 32, 3), 50, np.uint8)
    Image.fromarray(page).save(run.preview(100))
    pictures = Sheet([np.full((16, 16, 3), 250, np.uint8)] * 4, 2)
    run.preview(200).write_bytes(encode_png(*Pages(pictures, (16, 16))[0]))
    write_animation(run, SPEC)
    write_strip(run, SPEC)
    with Image.open(run.root / "samples.gif") as animation:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(animation)]
    assert [frame[HEAD:].mean() for frame in frames] == pytest.approx([50, 250], abs=4)
    assert [frame.shape for frame in frames] == [(256 + HEAD, 256, 3)] * 2
    assert not np.array_equal(frames[0][:HEAD], frames[1][:HEAD])  # after 100 images, after 200
    with Image.open(run.root / "progress.png") as strip:
        cells, across = cut(strip, 16, 16)
    assert (across, [int(cell.mean()) for cell in cells]) == (2, [50, 50, 250, 250])


@pytest.mark.parametrize(("previews", "said"), [(4, "seed 0"), (8, "class a")])
def test_a_strip_says_which_class_or_of_which_classes_it_is(run: Run, previews: int, said: str) -> None:
    """The first row of a preview is of one class, or of a seed in each; what differs is above the pictures."""
    spec = replace(SPEC, family="progressive", classes=("a", "b", "c"), options={"width": 8})
    write_preview(run, build_generator(spec).eval(), previews, 10)
    write_strip(run, spec)
    with Image.open(run.root / "progress.png") as strip:
        assert json.loads(strip.info["Layout"])["across"] == 2
        page = np.asarray(strip)
    line = Image.new("RGB", (page.shape[1] - 10, 17), (246, 246, 246))
    text = f"{said} · 4 times as large"
    ImageDraw.Draw(line).text((0, 8), text, (32, 32, 32), ImageFont.load_default(SIZE), anchor="lm")
    assert np.array_equal(page[10:27, 10:][:, :100], np.asarray(line)[:, :100])


def test_pictures_are_not_made_of_nothing(run: Run) -> None:
    write_animation(run, SPEC)
    write_strip(run, SPEC)
    assert [path.name for path in run.root.iterdir()] == ["samples"]


def test_losses_are_drawn(run: Run) -> None:
    log = [{"images": n, "d/loss": 1.0 / n, "g/loss": 0.5, "d/real": 0.1} for n in range(1, 50)]
    plot_losses([*log, {"images": 50, "d/r1": 1.0}], run.root / "losses.png")
    with Image.open(run.root / "losses.png") as plot:
        colours = np.unique(np.asarray(plot.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(colours) > 50  # curves in several colours, antialiased


def test_layers_are_those_of_the_network_in_order() -> None:
    generator = build_generator(SPEC)
    rows = layers(generator, torch.zeros(1, 8))
    assert rows[-1].shape == (1, 4, 16, 16)
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in generator.parameters())
    assert generator.training
    discriminator = build_discriminator("dcgan", SPEC, {"width": 4})
    assert layers(discriminator, torch.zeros(1, 4, 16, 16))[-1].name == "last"
