"""The whole road as a stranger walks it: real images, every command, a real Triton, and the same pixels everywhere."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from core.bundle import GRAPH
from core.checkpoint import load_generator
from core.difference import levels_apart
from core.images import encode_png, from_pillow
from core.latents import latents
from core.pixels import to_pixels
from core.seed_sheets import cut
from core.sizes import plan_size
from serving.client.sampler import Sampler
from serving.server.launch import free_ports
from trainer.data.openmoji import OpenmojiOptions, import_openmoji

ROOT = Path(__file__).parent.parent
SEEDS = [0, 1, 2, 3, 70_000, 2**32 - 1]


def ganfoundry(*arguments: object) -> str:
    """Run a command as a person would; its output. Fails the test if the command fails."""
    command = [sys.executable, ROOT / "cli.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the road is walked: from a folder of real RGBA pictures to a published model."""
    place = tmp_path_factory.mktemp("road")
    pictures = import_openmoji(place / "openmoji", OpenmojiOptions(plan_size(40, 32), limit=24))
    (place / "sprites").mkdir()
    for index, image in enumerate(pictures.images):
        (place / "sprites" / f"{index:02d}.png").write_bytes(encode_png(image))
    (place / "sprites" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    ganfoundry("data", "import", place / "sprites", place / "pack", "--size", "32x40", "--licence", "CC BY-SA 4.0")
    settings = ("--set", "width=8", "--set", "latent_dim=16", "--kimg", 0.2, "--batch", 8)
    ganfoundry("train", place / "pack", "--preset", "dcgan-cpu", "--out", place / "run", *settings)
    ganfoundry("export", place / "run", "--onnx", "--out", place / "bundle")
    ganfoundry("publish", place / "bundle", "--name", "sprites", "--repository", place / "repository")
    return place


@pytest.fixture(scope="module")
def url(place: Path) -> Iterator[str]:
    """The gRPC address of ``cli.py serve``, stopped with Ctrl-C at the end."""
    ports = free_ports()
    command = [sys.executable, ROOT / "cli.py", "serve", "--repository", place / "repository"]
    command += ["--grpc-port", ports.grpc, "--http-port", ports.http, "--metrics-port", ports.metrics]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any(" ready: " in line for line in iter(server.stdout.readline, ""))
        yield f"127.0.0.1:{ports.grpc}"
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


@pytest.fixture(scope="module")
def expected(place: Path) -> np.ndarray:
    """The seeds' images as PyTorch makes them from the training run."""
    generator = load_generator(place / "run" / "generator.safetensors")
    with torch.no_grad():
        values = generator(torch.from_numpy(latents(SEEDS, 16)))
    return to_pixels(values, generator.spec.value_range).numpy()


def test_pytorch_onnx_runtime_and_grpc_make_the_same_images(place: Path, url: str, expected: np.ndarray) -> None:
    session = onnxruntime.InferenceSession(place / "bundle" / GRAPH, providers=["CPUExecutionProvider"])
    inputs = {"z": latents(SEEDS, 16), "truncation": np.ones((len(SEEDS), 1), np.float32)}
    (in_process,) = session.run(["image"], inputs)
    with Sampler("sprites", url) as sampler:
        served = np.stack([image for _, image in sampler.sample(SEEDS)])
    assert expected.shape == (len(SEEDS), 40, 32, 4)
    assert expected.std() > 10
    assert levels_apart(in_process, expected) <= 1
    assert levels_apart(served, expected) <= 1


def test_the_command_writes_those_images_as_files(place: Path, url: str, expected: np.ndarray) -> None:
    seeds = ",".join(map(str, SEEDS))
    ganfoundry(
        "sample", "sprites", "--seeds", seeds, "--out", place / "out", "--sheet", place / "sheet.png", "--url", url
    )
    for seed, image in zip(SEEDS, expected, strict=True):
        with Image.open(place / "out" / f"{seed:010d}.png") as file:
            assert levels_apart(from_pillow(file, 4), image) <= 1
            assert file.text["Seed"] == str(seed)
            assert (file.text["Model"], file.text["Version"]) == ("sprites", "1")
    with Image.open(place / "sheet.png") as sheet:
        cells, across = cut(sheet, 40, 32)
    assert (across, len(cells), cells[0].shape) == (3, len(SEEDS), (40, 32, 3))


def test_truncation_reaches_the_network(url: str) -> None:
    with Sampler("sprites", url) as sampler:
        means = [image for _, image in sampler.sample(SEEDS, truncation=0.0)]
    assert all(levels_apart(image, means[0]) <= 1 for image in means)


def test_what_was_skipped_and_what_it_is_made_of_travel_along(place: Path) -> None:
    assert "broken.png" in ganfoundry("data", "info", place / "pack")
    assert "CC BY-SA 4.0" in (place / "bundle" / "CARD.md").read_text()
    assert "bit-identical" in ganfoundry("verify", place / "bundle")
