"""Small packs and runs for the trainer's tests."""

from pathlib import Path

import numpy as np
import pytest

from trainer import pictures
from trainer.config import TrainConfig
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.presets import resolve
from trainer.training import Plan, plan


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


@pytest.fixture
def planned(pack: Pack) -> Plan:
    """A run of forty rounds."""
    return plan(tiny_config(), pack)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a run goes."""
    return tmp_path / "run"
