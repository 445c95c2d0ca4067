"""Every command of ours in the documents is run as it stands, on tiny data, each in a world of its own.

What a line leaves to its reader is added at its end: few images, tiny networks, the address of the test's server.
"""

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import cli
from core.images import Images, encode_png
from export.bundles.exporting import export_run
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from tests.documents import commands
from tests.export.foreign.foreign_models import Foreign
from tests.serving.conftest import SPEC, make_bundle, make_style_bundle, publish
from tests.serving.translators import make_translator, translator_spec
from tests.test_presets import shrunk
from tests.trainer.conftest import blobs, outlines
from tests.trainer.pairs import unpaired_pack
from trainer.data.info import PackInfo, SourcesInfo
from trainer.data.pack import write_pack
from trainer.planning import plan
from trainer.training import train

# Beginnings of lines that are not run here, and why.
NOT_RUN = {
    "demo": "trains for minutes: tests/test_road.py walks the same road",
    "serve": "runs until it is stopped: tests/test_road.py starts and stops it",
    "tune": "measures for minutes: tests/serving/tuning has it tiny",
    "data openmoji": "draws 2,500 pictures: tests/trainer/data/test_openmoji.py draws a few",
}
# What is added at the end of a line.
TRAINING = "--kimg 0.08 --batch 8 --set width=4 --set latent_dim=8"
TINY = {
    "train": TRAINING,
    "evaluate": "--samples 16 --threads 1",
    "publish": "--no-trial",
    "rollback": "--no-trial",
}
AUTOENCODERS = {"colourise-cpu", "denoise-cpu", "upscale-cpu"}  # without a discriminator
SERVED = {"sprites", "styled", "digits", "knobs", "painter"}
# What launchers and readers put into a line.
FILLED = {'"$SLURM_ARRAY_TASK_ID/64"': "3/64", "$shard/64": "3/64", "/shared/out": "out", "0-9999999": "0-63"}
CLASSES = ("boot", "shirt")


def write_pictures(folder: Path, images: Images, ending: str = "png") -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"hero_{index:02d}.{ending}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that any command of the documents takes: pictures, packs, runs, bundles, published models."""
    world, discs, lines = tmp_path_factory.mktemp("world"), blobs(), outlines(blobs())

    # Pictures
    for name in ("my-sprites", "sprites", "coloured", "colour", "facades_right", "photos", "icons32"):
        write_pictures(world / name, discs)
    for name in ("lines", "new-lines", "paintings", "icons16"):
        write_pictures(world / name, lines)
    write_pictures(world / "more", lines[:2], "webp")
    write_pictures(world / "facades", np.concatenate([discs, lines], axis=2))
    (world / "lines" / "cat.png").write_bytes(encode_png(lines[0]))
    (world / "coloured" / "cat.png").write_bytes(encode_png(discs[0]))
    (world / "colour" / "cat.png").write_bytes(encode_png(discs[0]))
    (world / "level.png").write_bytes(encode_png(np.tile(lines[0], (3, 3, 1))))

    # Packs and runs
    (world / "data").mkdir()
    pack = write_pack(world / "data" / "sprites", discs, None, PackInfo("discs", 16, 16, 4, licence="CC0-1.0"))
    info = PackInfo("discs", 16, 16, 4, licence="CC0-1.0", sources=SourcesInfo(16, 16, 4))
    parts = [0] * 28 + [1] * 4 + [2] * 8
    pairs = write_pack(world / "data" / "pairs", discs, None, info, sources=lines, parts=parts)
    shutil.copytree(pairs.path, world / "data" / "lines")
    unpaired_pack(world / "data" / "styles")
    train(plan(shrunk("dcgan-cpu"), pack), world / "runs" / "sprites")
    shutil.copytree(world / "runs" / "sprites", world / "runs" / "others")
    train(plan(shrunk("pix2pix-cpu"), pairs), world / "runs" / "painter")

    # Bundles, and a graph from elsewhere
    square = replace(SPEC, height=16, width=16)
    bundles = world / "exports"
    export_run(world / "runs" / "sprites", bundles / "sprites")
    make_bundle(bundles / "better", square)
    make_style_bundle(bundles / "styled", square)
    make_bundle(bundles / "digits", replace(square, classes=CLASSES))
    make_bundle(bundles / "knobs", replace(square, codes=2))
    make_translator(bundles / "painter", translator_spec(64, 64))
    onnx.save(Foreign(height=16, width=16).model(), world / "theirs.onnx")

    # Published models, of one two versions
    publish(bundles / "better", "sprites", world / "model_repository")
    for name in sorted(SERVED):
        publish(bundles / name, name, world / "model_repository")
    return world


@pytest.fixture(scope="module")
def server(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    repository = shutil.copytree(world / "model_repository", tmp_path_factory.mktemp("served") / "repository")
    with Supervisor(repository, free_ports()) as supervisor:
        yield supervisor


def run_here(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """A command in this process, which saves the seconds of its imports; its exit status."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["ganfoundry", *words])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def without_result(words: list[str], here: Path) -> None:
    """Delete what the command is about to make; a run that is to go on stays."""
    if words[:2] == ["data", "import"]:
        shutil.rmtree(here / words[3], ignore_errors=True)
    elif words[0] in {"train", "export"} and "--out" in words and "learning_rate_d=1e-4" not in words:
        shutil.rmtree(here / words[words.index("--out") + 1], ignore_errors=True)


def completed(words: list[str], server: Supervisor | None) -> list[str]:
    """The words, and what is added at the end."""
    more = TINY.get(words[0], "").split()
    if words[0] == "train" and "data/sprites" not in words and not AUTOENCODERS & {*words}:
        more += ["--set", "discriminator.field=16"]
    if server is not None:
        address, ports = f"http://{server.access.connect_to}", server.ports
        metrics = ["--metrics-url", f"{address}:{ports.metrics}/metrics", "--http-url", f"{address}:{ports.http}"]
        more += [*metrics, "--every", "0.5"] if words[0] == "top" else ["--url", server.url]
    return [*words, *more]


def asks_a_server(words: list[str]) -> bool:
    return words[0] == "top" or (words[0] in {"sample", "translate"} and words[1] in SERVED)


@pytest.mark.parametrize("line", dict.fromkeys(typed.line for typed in commands()))
def test_a_command_of_a_document_runs(
    line: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    for beginning, reason in NOT_RUN.items():
        if line.startswith(beginning):
            pytest.skip(f"not run from the documents: '{beginning}' {reason}")
    if "…" in line:
        pytest.skip("not run from the documents: a word is left out in them (…)")
    if "--ray" in line and find_spec("ray") is None:
        pytest.skip("no Ray: pip install -c constraints.txt '.[ray]'")
    if "--tensorrt" in line and find_spec("tensorrt_rtx") is None:
        pytest.skip("no TensorRT-RTX: pip install -c constraints.txt '.[tensorrt]'")
    for found, filled in FILLED.items():
        line = line.replace(found, filled)
    words = shlex.split(line, comments=True)

    here = shutil.copytree(world, tmp_path / "here")
    without_result(words, here)
    monkeypatch.chdir(here)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    server = request.getfixturevalue("server") if asks_a_server(words) else None
    assert run_here(completed(words, server), monkeypatch) == 0


def test_each_line_that_is_not_run_is_in_a_document() -> None:
    lines = [typed.line for typed in commands()]
    assert all(any(line.startswith(beginning) for line in lines) for beginning in NOT_RUN)
