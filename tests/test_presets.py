"""Every preset on the whole road, tiny: trained, exported through every gate, published, and sampled by one Triton.

Presets whose generators are the same network differ in how they train, which ends at the run: of each such group the
first one walks on. Where TensorRT is installed, one of each family is parsed and built.
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from core.bundle import read_bundle
from core.checkpoint import load_generator
from core.contract import SOURCE, sample_inputs
from core.difference import levels_apart
from core.spec import Provenance
from export.bundles.exporting import export_run
from export.bundles.options import ExportOptions
from export.checks.reference import BATCHES
from export.tensorrt.gate import PACKAGE
from serving.client.sampler import Sampler, Translator
from serving.publishing import publish
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from tests.trainer.conftest import blobs, outlines
from trainer.data.info import PackInfo, SourcesInfo
from trainer.data.pack import write_pack
from trainer.metrics.features import maker
from trainer.planning import plan, spec_of
from trainer.presets import PRESETS, resolve
from trainer.run import Run
from trainer.settings.config import TrainConfig
from trainer.training import train

SOURCES = SourcesInfo(16, 16, 4)
INFO = PackInfo("discs", 16, 16, 3, classes=("red", "green"), licence="CC0-1.0", sources=SOURCES)
SEEDS = [0, 1, 70_000, 2**32 - 1]
SHORT = {
    "cycle": ["discriminator.field=16", "cycle.identity=0"],
    "paired": ["discriminator.field=16"],
    "progressive": ["growth.stable_kimg=0.02", "growth.fade_kimg=0.02"],
    "stacked": ["stack.encoder_kimg=0.02", "stack.apart_kimg=0.02"],
}


class Road:
    """A preset's run, bundle and published model, made when they are first asked for."""

    def __init__(self, place: Path) -> None:
        self.place = place
        lines, parts = outlines(blobs()), [0] * 30 + [2] * 10
        self.pack = write_pack(place / "pack", blobs(channels=3), np.arange(40) % 2, INFO, sources=lines, parts=parts)

    def run(self, preset: str) -> Run:
        run = Run(self.place / "runs" / preset)
        if not run.generator.exists():
            train(plan(shrunk(preset), self.pack), run.root)
        return run

    def bundle(self, preset: str) -> Path:
        path = self.place / "bundles" / preset
        if not path.exists():
            export_run(self.run(preset).root, path, options=ExportOptions(tensorrt=builds(preset)))
        return path


def shrunk(preset: str) -> TrainConfig:
    """The preset's settings for ten rounds of tiny networks."""
    settings = ["width=4", "latent_dim=8", *SHORT.get(PRESETS[preset]().system, [])]
    rare = {"batch": 8, "log_kimg": 1.0, "preview_kimg": 1.0, "checkpoint_kimg": 1.0, "previews": 4}
    return resolve(preset, settings, kimg=0.08, **rare)


def network_of(preset: str) -> str:
    """What decides the generator's network: two presets of which this is the same make the same graph."""
    return replace(spec_of(shrunk(preset), INFO), provenance=Provenance()).to_json()


NETWORKS = sorted({network_of(preset): preset for preset in reversed(PRESETS)}.values())
FAMILIES = {PRESETS[preset]().family: preset for preset in reversed(NETWORKS)}


def builds(preset: str) -> bool:
    """Whether TensorRT is to build an engine of the preset's generator: the first of its family's."""
    return find_spec(PACKAGE) is not None and preset in FAMILIES.values()


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    return Road(tmp_path_factory.mktemp("presets"))


@pytest.fixture(scope="module")
def url(road: Road) -> Iterator[str]:
    """One Triton with all of them, but without models for thin clients: each would be a process of its own."""
    repository = road.place / "repository"
    for preset in NETWORKS:
        publish(road.bundle(preset), preset, repository, thin=False, trial=False)
    with Supervisor(repository, free_ports()) as supervisor:
        yield supervisor.url


def test_each_family_is_among_them() -> None:
    assert {PRESETS[preset]().family for preset in PRESETS} == set(FAMILIES)


@pytest.mark.parametrize("preset", NETWORKS)
def test_the_graph_passes_every_gate(preset: str, road: Road) -> None:
    """Against PyTorch at every batch, and where TensorRT is installed, each engine parsed and built."""
    found = read_bundle(road.bundle(preset)).verification
    against = found["onnxruntime_against_pytorch_by_batch"]
    assert set(against) == {str(batch) for batch in BATCHES}
    assert all(difference["levels"] <= 1 for difference in against.values())
    assert ("tensorrt" in found) == builds(preset)


@pytest.mark.timeout(600)  # the first makes what the others need
@pytest.mark.parametrize("preset", NETWORKS)
def test_the_server_makes_the_images_of_the_network(preset: str, road: Road, url: str) -> None:
    generator = load_generator(road.run(preset).generator)
    if generator.examples is not None:
        inputs = sample_inputs(generator.spec, SEEDS, examples=generator.examples)
        with Translator(preset, url) as translator:
            images = np.stack([*translator.translate([*inputs[SOURCE]])])
        assert levels_apart(images, maker(generator)(inputs)) <= 1
        return
    with Sampler(preset, url) as sampler:
        assert sampler.spec == generator.spec
        spec = sampler.spec
        label = spec.classes[-1] if spec.classes else None
        codes = np.linspace(-1, 1, spec.codes).astype(np.float32)
        images = np.stack([image for _, image in sampler.sample(SEEDS, 0.8, label, codes)])
    inputs = sample_inputs(spec, SEEDS, 0.8)
    if spec.classes:
        inputs["label"][:] = len(spec.classes) - 1
    if spec.codes:
        inputs["codes"][:] = codes
    assert levels_apart(images, maker(generator)(inputs)) <= 1
    assert images.std(axis=0).any()  # seeds differ, though only so much after a few steps
