"""The Inception network of FID: against torch-fidelity's features, and which files are refused."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import CheckpointError
from tests.trainer.conftest import blobs
from tests.trainer.metrics import make_inception_golden as golden
from tests.trainer.metrics.conftest import thumbnails
from tests.trainer.metrics.test_evaluate import SPEC, painter, silent
from trainer.data.pack import Pack, PackInfo, write_pack
from trainer.metrics import inception as rooms
from trainer.metrics.evaluate import evaluate
from trainer.metrics.features import real_features
from trainer.metrics.inception import Inception, inception, load_inception, prepare, resize_like_tensorflow_1


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as everybody has it, but with random weights; written as torch did in 2019."""
    shapes = {name: value.shape for name, value in Inception().state_dict().items()}
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(golden.random_weights(shapes), path, _use_new_zipfile_serialization=False)
    return path


def test_features_are_those_of_torch_fidelity(weights: Path) -> None:
    features = inception(weights).features
    found = torch.cat([features(image) for image in golden.random_images()]).numpy()
    expected = np.load(golden.GOLDEN)["features"]
    assert expected.shape == (len(golden.SIZES), 2048)
    assert expected.std(axis=0).mean() > 0.3  # the images differ, and by much more than the tolerance
    assert np.abs(found - expected).max() < 5e-5
    assert np.array_equal(features(golden.random_images()[0])[0], found[0])


def test_the_oracle_would_see_every_particular(weights: Path) -> None:
    """Each of the ways in which the usual Inception differs from this one moves the features by far more than that."""
    image = golden.random_images()[0]
    expected = np.load(golden.GOLDEN)["features"][0]
    network = load_inception(weights)

    def error() -> float:
        with torch.no_grad():
            return float(np.abs(network(prepare(image))[0].numpy() - expected).max())

    last = network.get_submodule("Mixed_7c")
    last.maximum = False  # type: ignore[assignment]
    assert error() > 0.01
    last.maximum = True  # type: ignore[assignment]
    assert error() < 5e-5
    with pytest.MonkeyPatch.context() as patch:
        average = torch.nn.functional.avg_pool2d
        patch.setattr(rooms.F, "avg_pool2d", lambda x, *rest, **_: average(x, *rest))
        assert error() > 0.01
    with pytest.MonkeyPatch.context() as patch:
        resize = torch.nn.functional.interpolate
        patch.setattr(rooms, "resize_like_tensorflow_1", lambda x: resize(x, (299, 299), mode="bilinear"))
        assert error() > 0.01


def test_resizing_agrees_with_a_slow_loop_and_keeps_what_has_the_size() -> None:
    """Pixel i of the result lies at i · h / side of the original; behind its last pixel there is that pixel again."""
    image = torch.from_numpy(np.random.RandomState(0).rand(1, 1, 5, 8).astype(np.float32))
    found = resize_like_tensorflow_1(image, 7)[0, 0]
    for row in range(7):
        for column in range(7):
            y, x = row * 5 / 7, column * 8 / 7
            corners = 0.0
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                share = (y % 1 if i else 1 - y % 1) * (x % 1 if j else 1 - x % 1)
                corners += share * float(image[0, 0, min(int(y) + i, 4), min(int(x) + j, 7)])
            assert float(found[row, column]) == pytest.approx(corners, abs=1e-6)
    same = torch.rand(2, 3, 299, 299)
    assert torch.equal(resize_like_tensorflow_1(same), same)


def test_transparency_is_white_and_grey_has_three_channels() -> None:
    assert (prepare(np.zeros((1, 16, 16, 4), np.uint8)) - 255).abs().max() < 1e-3
    grey = prepare(np.full((1, 8, 8, 1), 7, np.uint8))
    assert grey.shape == (1, 3, 299, 299)
    assert (grey - 7).abs().max() < 1e-3


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


class Code:
    """What a pickle must not be able to run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("ran",))


def test_files_that_are_something_else_are_refused_in_one_line(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = torch.load(weights, weights_only=True)
    program = tmp_path / "inception-2015-12-05.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(program))  # type: ignore[no-untyped-call]
    noise, code = tmp_path / "noise.pth", tmp_path / "code.pth"
    noise.write_bytes(b"\x80noise")
    code.write_bytes(pickle.dumps(Code()))
    fewer = {name: value for name, value in known.items() if name != "Mixed_7c.branch_pool.conv.weight"}
    zoo = {**known, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    for path, why in (
        (program, "TorchScript"),
        (tmp_path / "missing.pth", "is not a file"),
        (tmp_path, "is not a file"),
        (noise, "cannot be read"),
        (code, "cannot be read"),
        (saved(tmp_path / "list.pth", [1, 2]), "state dict"),
        (saved(tmp_path / "wrapped.pth", {"model": known}), "state dict"),
        (saved(tmp_path / "fewer.pth", fewer), "another network"),
        (saved(tmp_path / "zoo.pth", zoo), "another network"),
        (saved(tmp_path / "nan.pth", {**known, "fc.bias": torch.full((1008,), torch.nan)}), "not finite"),
    ):
        with pytest.raises(CheckpointError, match=why) as caught:
            load_inception(path)
        assert ": give pt_inception-2015-12-05-6726825d.pth, the file of pytorch-fid" in str(caught.value)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_the_file_may_count_batches(tmp_path: Path, weights: Path) -> None:
    counted = load_inception(saved(tmp_path / "counted.pth", load_inception(weights).state_dict()))
    assert any(name.endswith("num_batches_tracked") for name in counted.state_dict())
    assert not counted.training
    assert counted.get_parameter("fc.weight").shape == (1008, 2048)  # the classifier, which moves no feature


def test_only_the_usual_weights_give_fid_and_kid(
    weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pack = write_pack(tmp_path / "pack", blobs(40), None, PackInfo("discs", 16, 16, 4))
    other = inception(weights)
    monkeypatch.setattr(rooms, "sha256", lambda _: "6726825d" + "0" * 56)
    usual = inception(weights)
    assert (usual.kid, usual.frechet) == ("KID", "FID")
    assert usual.name == "inception"
    assert usual.protocol == {
        "images": "uint8, straight alpha composited over white, grey in three channels",
        "resize": "bilinear as TensorFlow 1 did, without antialiasing, corners not aligned, to 299x299",
        "extractor": "Inception of 2015-12-05, pooled",
        "weights_sha256": "6726825d" + "0" * 56,
    }
    digest = other.protocol["weights_sha256"][:8]
    assert digest != "6726825d"
    assert (other.kid, other.frechet) == (f"KID-inception-{digest}", f"Fréchet distance (inception-{digest})")
    for extractor, named in ((usual, True), (other, False)):
        cheap = replace(extractor, features=thumbnails)
        evaluation, _ = evaluate(painter(blobs(40, seed=5)), SPEC, pack, cheap, 40, 0, silent)
        written = json.loads(evaluation.to_json())
        assert {"FID", "KID"} <= written.keys() if named else not {"FID", "KID"} & written.keys()
        assert written[extractor.frechet] == evaluation.figures.frechet
        assert written[extractor.kid] == evaluation.figures.kid
        assert ("sha256 begins with 6726825d" in written["protocol"].get("warning", "")) is not named
        assert written["protocol"]["resize"].startswith("bilinear as TensorFlow 1 did")


def test_features_of_a_pack_are_kept_for_each_extractor(tmp_path: Path, weights: Path) -> None:
    pack: Pack = write_pack(tmp_path / "pack", blobs(40), None, PackInfo("discs", 16, 16, 4))
    ours = replace(inception(weights), features=thumbnails)
    others = replace(ours, protocol={**ours.protocol, "weights_sha256": "0"}, features=lambda x: thumbnails(x) + 1)
    first, second = real_features(pack, ours), real_features(pack, others)
    assert torch.equal(second, first + 1)
    assert torch.equal(real_features(pack, replace(ours, features=None)), first)  # type: ignore[arg-type]
