"""A generator that came as an ONNX file from elsewhere, published and sampled like ours, through a real Triton."""

import numpy as np
from PIL import Image
from typer.testing import CliRunner

import cli
from core.bundle import levels_apart
from core.images import from_pillow
from core.latents import latents
from serving.launching import free_ports
from serving.publishing import publish
from serving.supervisor import Supervisor
from tests.export.foreign_models import CLASSES, Foreign


def ganfoundry(*arguments: object) -> None:
    done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output


def test_a_foreign_generator_is_served_with_its_seeds_classes_and_truncation(tmp_path):
    foreign = Foreign(height=9, width=7, batch=1, ones=2, label="one-hot", layout="NHWC", opset=11)
    (tmp_path / "theirs.onnx").write_bytes(foreign.model().SerializeToString())
    told = ("--range", "-1,1", "--latent", "z", "--label", "y", "--classes", ",".join(CLASSES))
    ganfoundry("export", "--from-onnx", tmp_path / "theirs.onnx", *told, "--out", tmp_path / "bundle")
    publish(tmp_path / "bundle", "theirs", tmp_path / "repository")
    with Supervisor(tmp_path / "repository", free_ports()) as server:
        asked = ("--seeds", "3-9", "--label", "newt", "--truncation", "0.5", "--url", server.url)
        ganfoundry("sample", "theirs", *asked, "--out", tmp_path / "out")
    expected = 255 * foreign.values(latents(range(3, 10), 8) / 2, np.full(7, CLASSES.index("newt")))
    for seed, image in zip(range(3, 10), np.rint(expected).astype(np.uint8), strict=True):
        with Image.open(tmp_path / "out" / f"{seed:010d}.png") as picture:
            assert levels_apart(from_pillow(picture, 3), image) <= 1
