"""Small packs and runs for the trainer's tests."""

from pathlib import Path

import numpy as np
import pytest

from trainer.data.info import SourcesInfo
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.hooks import pictures
from trainer.planning import Plan, plan
from trainer.presets import resolve
from trainer.settings.config import TrainConfig


def tiny_config(**changes: object) -> TrainConfig:
    """DCGAN at a size that trains in milliseconds, saving and logging often."""
    tiny = {"kimg": 0.32, "batch": 8, "log_kimg": 0.04, "preview_kimg": 0.16, "checkpoint_kimg": 0.16, "previews": 4}
    return resolve("dcgan", ["width=4", "latent_dim=8"], **{**tiny, **changes})


def blobs(count: int = 40, height: int = 16, width: int = 16, channels: int = 4, seed: int = 0) -> np.ndarray:
    """Coloured discs on transparency: pictures with something to learn."""
    random = np.random.RandomState(seed)
    rows, columns = np.indices((height, width))
    images = np.zeros((count, height, width, channels), np.uint8)
    for image in images:
        centre, radius = random.uniform(0.3, 0.7, 2) * (height, width), random.uniform(0.15, 0.4) * height
        inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
        image[inside] = [*random.randint(0, 256, 3), 255][-channels:]
    return images


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs leave an empty file where their curves would be. For those who train by the dozen: drawing takes longer."""
    monkeypatch.setattr(pictures, "plot_losses", lambda lines, path, contest: path.touch())


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Forty RGBA discs of 16x16, in two classes."""
    info = PackInfo("discs", 16, 16, 4, classes=("a", "b"), licence="CC0-1.0")
    return write_pack(tmp_path_factory.mktemp("pack") / "discs", blobs(), np.arange(40) % 2, info)


def outlines(images: np.ndarray) -> np.ndarray:
    """The edges of discs in black, RGBA: a source for each that says nothing of its colour."""
    alpha = images[..., -1] > 0
    inner = alpha & np.roll(alpha, 1, 1) & np.roll(alpha, -1, 1) & np.roll(alpha, 1, 2) & np.roll(alpha, -1, 2)
    lines = np.zeros((*images.shape[:3], 4), np.uint8)
    lines[..., 3] = np.where(alpha & ~inner, 255, 0)
    return lines


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Forty RGBA discs of 16x16 in two classes, and their outlines; eight pairs are held out, four to validate."""
    sources = SourcesInfo(16, 16, 4, licence="CC0-1.0")
    info = PackInfo("discs", 16, 16, 4, classes=("a", "b"), licence="CC-BY-4.0", sources=sources)
    place, parts = tmp_path_factory.mktemp("pairs") / "discs", [0] * 28 + [1] * 4 + [2] * 8
    return write_pack(place, blobs(), np.arange(40) % 2, info, sources=outlines(blobs()), parts=parts)


@pytest.fixture
def planned(pack: Pack) -> Plan:
    """A run of forty rounds."""
    return plan(tiny_config(), pack)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a run goes."""
    return tmp_path / "run"
