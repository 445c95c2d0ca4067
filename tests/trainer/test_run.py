"""What a run leaves: its log, its pictures, its layers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from core.errors import TrainingError
from core.images import from_pillow
from core.latents import latents
from core.networks import build_discriminator, build_generator
from core.pixels import to_pixels
from core.spec import GeneratorSpec
from trainer.layers import layers
from trainer.plots import plot_losses
from trainer.preview import render, write_animation, write_preview, write_strip
from trainer.run import Run

SPEC = GeneratorSpec("dcgan", 16, 16, 4, 8, options={"width": 4})


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
    shown = render(generator, 70)
    with torch.no_grad():
        alone = to_pixels(generator(torch.from_numpy(latents([69], 8))), SPEC.value_range).numpy()
    assert shown.shape == (70, 16, 16, 4)
    assert np.abs(shown[69].astype(int) - alone[0].astype(int)).max() <= 1


def test_a_preview_of_a_conditional_generator_shows_the_classes_in_turn() -> None:
    spec = GeneratorSpec("progressive", 16, 16, 3, 8, classes=("a", "b", "c"), options={"width": 8})
    generator = build_generator(spec).eval()
    shown = render(generator, 5)
    with torch.no_grad():
        alone = to_pixels(generator(torch.from_numpy(latents([4], 8)), torch.tensor([1])), spec.value_range).numpy()
    assert np.abs(shown[4].astype(int) - alone[0].astype(int)).max() <= 1


def test_animation_and_strip_show_every_moment(run: Run) -> None:
    for images, level in ((100, 50), (200, 250)):
        sheet = np.full((32, 32, 3), level, np.uint8)
        Image.fromarray(sheet).save(run.preview(images))
    write_animation(run)
    write_strip(run, 16, 16)
    with Image.open(run.root / "samples.gif") as animation:
        levels = [np.asarray(frame.convert("RGB")).mean() for frame in ImageSequence.Iterator(animation)]
    assert levels == pytest.approx([50, 250], abs=4)
    with Image.open(run.root / "progress.png") as strip:
        page = from_pillow(strip, 3)
    assert (page[10, -10], page[-10, -10]) == (pytest.approx(50), pytest.approx(250))
    label = page[:64, :140]
    assert (label.min(), label.max()) == (0, 255)  # "100 images", written in black on white


def test_pictures_are_not_made_of_nothing(run: Run) -> None:
    write_animation(run)
    write_strip(run, 16, 16)
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
