"""Small generators with lively weights, and one finished bundle that every test may copy."""

import json
import os
import shutil
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest
import torch
from onnx import ModelProto

from core.bundle import GRAPH, MANIFEST, SUMS, _digest, read_manifest, write_manifest
from core.checkpoint import save_generator
from core.contract import SOURCE, sample_inputs
from core.files import write_atomic
from core.networks import TRANSLATORS, build_generator, build_translator
from core.networks.base import Generator, Translator
from core.onnx.session import Session, open_session
from core.pixels import to_values
from core.spec import GeneratorSpec, Provenance, SourceSpec
from export.bundles import exporting
from export.bundles.exporting import export_run
from export.graphs.convert import to_onnx
from export.graphs.modules import WholeGraph, whole_graph

# What every family is exported as, once a session; one of them with labels and codes.
SIZES = {"square RGBA": (32, 32, 4), "grey from 7": (28, 28, 1), "tall RGB": (48, 32, 3)}
# A family not named here is built with its own defaults.
TINY = {
    "biggan": {"width": 8, "embedding": 4},
    "dcgan": {"width": 4},
    "mlp": {"width": 8, "blocks": 2},
    "progressive": {"width": 8, "widest": 16},
    "r3gan": {"width": 8, "widest": 2, "blocks": 1, "group": 8},
    "resnet": {"width": 4, "blocks": 2},
    "stacked": {"width": 4, "features": 16},
    "style": {"width": 4, "style_dim": 8, "mapping_layers": 2},
    "unet": {"width": 4},
    "upconv": {"width": 8},
}
# What translators make of what, and options that all of them have.
TRANSLATIONS = {
    "RGBA to RGBA": ((16, 24, 4), (16, 24, 4), {"norm": "batch"}),
    "grey to larger RGB": ((10, 20, 1), (20, 40, 3), {"norm": "instance", "up": "transposed"}),
    "RGB to smaller grey": ((40, 40, 3), (20, 20, 1), {"norm": "none"}),
}
LOUDER = {"r3gan": 1, "style": 1, "upconv": 1}  # else fresh weights are multiplied by ten
PROVENANCE = Provenance("test", 1234, "sprites", "cafe" * 4, "CC0", "0")


def tiny_spec(family: str, size: tuple[int, int, int], **changes) -> GeneratorSpec:
    height, width, channels = size
    spec = GeneratorSpec(family, height, width, channels, 8, options=TINY.get(family, {}), provenance=PROVENANCE)
    return replace(spec, **changes)


def family_spec(family: str, size: str) -> GeneratorSpec:
    """The spec of ``shipped``: images that are tall have classes and codes beside the latent."""
    extra = {"classes": ("cat", "dog", "newt"), "codes": 2} if size == "tall RGB" else {}
    return tiny_spec(family, SIZES[size], **extra)


def translator_spec(family: str, what: str) -> GeneratorSpec:
    """The spec of ``shipped`` for a family that translates."""
    (height, width, channels), made, options = TRANSLATIONS[what]
    spec = replace(tiny_spec(family, made), latent_dim=0, kind="image", source=SourceSpec(height, width, channels))
    return replace(spec, options=spec.options | options).with_provenance(source_licence="MIT")


def lively_translator(spec: GeneratorSpec, seed: int = 0) -> Translator:
    """A translator whose images vary from 0 to 255, its norms used to them, with the sources that travel with it."""
    torch.manual_seed(seed)
    translator = build_translator(spec)
    sources = torch.from_numpy(sample_inputs(spec, range(500, 532))[SOURCE])
    with torch.no_grad():
        for parameter in translator.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_()  # the last of a block, which starts at 0
            if parameter.ndim > 1:
                parameter.mul_(2 / parameter.flatten(1).norm(dim=1).mean())
        for _ in range(20):
            translator.train()(to_values(sources, spec.value_range))
    translator.show(sources.numpy())
    return translator.eval()


def lively(spec: GeneratorSpec, seed: int = 0) -> Generator:
    """A generator whose images vary from 0 to 255: fresh weights times ten, batch norm used to them."""
    torch.manual_seed(seed)
    generator = build_generator(spec)
    with torch.no_grad():
        for parameter in generator.parameters():
            if parameter.ndim > 1:
                parameter.mul_(LOUDER.get(spec.family, 10))
                if not parameter.any():
                    parameter.normal_(0.0, 0.3)  # a last layer, which starts at 0
            elif parameter.ndim == 0:
                parameter.add_(0.5)  # a strength, which starts at 0
        for _ in range(20):
            z = torch.randn(32, spec.latent_dim)
            label = torch.zeros(32, dtype=torch.int64) if spec.classes else None
            generator.train()(z, label, torch.randn(32, spec.codes) if spec.codes else None)
    return generator.eval()


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A run directory with a generator in it, 32x32 RGBA."""
    path = tmp_path_factory.mktemp("run")
    save_generator(path / "generator.safetensors", lively(tiny_spec("dcgan", SIZES["square RGBA"])))
    return path


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory) -> Path:
    """The bundle of ``run``. Not to be changed."""
    path = tmp_path_factory.mktemp("exports") / "sprites"
    export_run(run, path)
    return path


class Shipped(NamedTuple):
    """A generator as it ships: what is traced, the ONNX model, and a session with it."""

    graph: WholeGraph
    model: ModelProto
    session: Session


KEPT: list[Path] = []


@pytest.fixture(scope="session", autouse=True)
def shared_by_workers(tmp_path_factory):
    """Where ``ship`` keeps what it exported, for the other processes that run tests."""
    base = tmp_path_factory.getbasetemp()
    KEPT.append((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shipped")


@cache
def ship(family: str, size: str) -> Shipped:
    """Exported once a session, because exporting is what takes the time. Not to be changed."""
    translates = family in TRANSLATORS
    generator = lively_translator(translator_spec(family, size)) if translates else lively(family_spec(family, size))
    graph = whole_graph(generator)
    kept = KEPT[0] / f"{family} {size}.onnx"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        write_atomic(kept, to_onnx(graph).SerializeToString())
    data = kept.read_bytes()
    return Shipped(graph, ModelProto.FromString(data), open_session(data))


@pytest.fixture(scope="session")
def translating(tmp_path_factory) -> Path:
    """A run directory with a translator in it, 16x24 RGBA."""
    path = tmp_path_factory.mktemp("translating")
    save_generator(path / "generator.safetensors", lively_translator(translator_spec("unet", "RGBA to RGBA")))
    return path


@pytest.fixture
def converted(exported, monkeypatch) -> None:
    """``run`` is not converted again: a test of what comes after takes the graph that ``exported`` holds."""
    monkeypatch.setattr(exporting, "to_onnx", lambda _: graph_of(exported))


@pytest.fixture
def bundle(exported, tmp_path) -> Path:
    """A copy of ``exported`` to spoil."""
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def reseal(bundle: Path, **changes) -> None:
    """Write the manifest anew, as a forger would: hashes and seal fit again."""
    manifest = read_manifest(bundle)
    kept = {f.name: getattr(manifest, f.name) for f in fields(manifest) if f.name != "files"}
    (bundle / MANIFEST).unlink()
    write_manifest(bundle, **{**kept, **changes})


def forge(bundle: Path, **changes) -> None:
    """Change the manifest's JSON and mend its seal and the sums, whatever it then says."""
    values = {**json.loads((bundle / MANIFEST).read_text()), **changes, "seal": ""}
    text = json.dumps(values, indent=2) + "\n"
    text = text.replace('"seal": ""', f'"seal": "{_digest(text)}"', 1)
    (bundle / MANIFEST).write_text(text)
    if isinstance(values["files"], dict):
        sums = {**values["files"], MANIFEST: _digest(text)}
        lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
        (bundle / SUMS).write_bytes(lines.encode("utf-8", "surrogatepass"))


def graph_of(bundle: Path) -> ModelProto:
    return onnx.load(bundle / GRAPH)
