"""A generator that came as an ONNX file from elsewhere, published and sampled like ours, through a real Triton."""

import numpy as np
from PIL import Image
from typer.testing import CliRunner

import cli
from core.difference import levels_apart
from core.images import from_pillow
from core.latents import latents
from serving.publishing import publish
from serving.repository.configs import read_config
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from tests.export.foreign.foreign_models import CLASSES, Foreign
from tests.export.foreign.test_alone import stuck


def ganfoundry(*arguments: object) -> None:
    done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output


def test_a_foreign_generator_is_served_with_its_seeds_classes_and_truncation(tmp_path):
    foreign = Foreign(height=9, width=7, batch=1, ones=2, label="one-hot", layout="NHWC", opset=11)
    (tmp_path / "theirs.onnx").write_bytes(foreign.model().SerializeToString())
    told = ("--range", "-1,1", "--latent", "z", "--label", "y", "--classes", ",".join(CLASSES))
    ganfoundry("export", "--from-onnx", tmp_path / "theirs.onnx", *told, "--out", tmp_path / "bundle")
    publish(tmp_path / "bundle", "theirs", tmp_path / "repository", trial=False)
    with Supervisor(tmp_path / "repository", free_ports()) as server:
        asked = ("--seeds", "3-9", "--label", "newt", "--truncation", "0.5", "--url", server.url)
        ganfoundry("sample", "theirs", *asked, "--out", tmp_path / "out")
    expected = 255 * foreign.values(latents(range(3, 10), 8) / 2, np.full(7, CLASSES.index("newt")))
    for seed, image in zip(range(3, 10), np.rint(expected).astype(np.uint8), strict=True):
        with Image.open(tmp_path / "out" / f"newt_{seed:010d}.png") as picture:
            assert levels_apart(from_pillow(picture, 3), image) <= 1


def test_one_that_takes_one_image_at_a_time_is_served_so_and_leaves_no_trace(tmp_path):
    plain, told = Foreign(height=6, width=10), ("--range", "-1,1")
    for name, model in (("plain", plain.model()), ("stuck", stuck(4))):
        (tmp_path / f"{name}.onnx").write_bytes(model.SerializeToString())
        ganfoundry("export", "--from-onnx", tmp_path / f"{name}.onnx", *told, "--out", tmp_path / name)
    repository = tmp_path / "repository"
    most = []
    for name in ("plain", "stuck", "plain", "stuck"):
        publish(tmp_path / name, "theirs", repository, trial=False)
        most.append({each: read_config(repository / each).max_batch_size for each in ("theirs", "theirs_png")})
    assert [set(each.values()) for each in most] == [{64}, {1}, {64}, {1}]

    publish(tmp_path / "stuck", "theirs", tmp_path / "small", thin=False, trial=False)
    with Supervisor(tmp_path / "small", free_ports()) as server:
        ganfoundry("sample", "theirs", "--seeds", "3-5", "--url", server.url, "--out", tmp_path / "out")
    ganfoundry("sample", tmp_path / "stuck", "--seeds", "3-5", "--out", tmp_path / "local")
    for seed in range(3, 6):
        name = f"{seed:010d}.png"
        with Image.open(tmp_path / "out" / name) as served, Image.open(tmp_path / "local" / name) as local:
            assert levels_apart(from_pillow(served, 3), from_pillow(local, 3)) <= 1
