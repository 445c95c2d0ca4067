"""The bundle: what ``export`` hands to ``verify``, ``publish`` and whoever else runs the generator.

    exports/NAME/
      generator.onnx    the graph
      golden.npz        inputs and the images PyTorch made of them
      CARD.md sheet.png what it is and what it makes, for people
      manifest.json     spec, sha256 of every other file, tools, verification figures; written last

Torch-free, and distrustful: a bundle may come from anywhere.
"""

import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BundleError, SpecError
from core.files import sha256, write_atomic
from core.images import Images
from core.spec import GeneratorSpec

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
GRAPH = "generator.onnx"
GOLDEN = "golden.npz"
CARD = "CARD.md"
SHEET = "sheet.png"

# Runtimes add up in other orders at other batch sizes, so an image may differ by rounding, never by more.
MOST_LEVELS = 1


@dataclass(frozen=True)
class Golden:
    """Inputs of the graph by name, each ``(n, …)``, and the uint8 images ``(n, h, w, c)`` PyTorch made of them."""

    inputs: dict[str, NDArray[Any]]
    images: Images

    def __len__(self) -> int:
        return len(self.images)

    def to_bytes(self) -> bytes:
        """The npz file. No pickles in it."""
        buffer = io.BytesIO()
        arrays = {f"input_{name}": value for name, value in self.inputs.items()}
        np.savez_compressed(buffer, allow_pickle=False, image=self.images, **arrays)
        return buffer.getvalue()

    @classmethod
    def read(cls, path: Path) -> "Golden":
        """The golden images in an npz file. Raises BundleError if it is not one."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                images = arrays["image"]
                inputs = {name[len("input_") :]: arrays[name] for name in arrays.files if name.startswith("input_")}
        except Exception as error:  # numpy and zipfile raise half a dozen kinds for a damaged file
            raise BundleError(f"{path} holds no golden images ({error}): export or publish again") from None
        whole = images.dtype == np.uint8 and images.ndim == 4 and len(images) > 0
        if not whole or any(len(value) != len(images) for value in inputs.values()):
            raise BundleError(f"{path} holds golden images of the wrong shape: export or publish again")
        return cls(inputs, images)


def levels_apart(images: Images, expected: Images) -> int:
    """The largest difference in any pixel, in levels of 255; 256 where the shapes differ."""
    if images.shape != expected.shape or images.dtype != expected.dtype:
        return 256
    return int(np.abs(images.astype(np.int16) - expected.astype(np.int16)).max(initial=0))


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says. ``files`` maps each file's name to its sha256."""

    spec: GeneratorSpec
    files: dict[str, str]
    opset: int
    tools: dict[str, str] = field(default_factory=dict)
    verification: dict[str, Any] = field(default_factory=dict)
    checkpoint_sha256: str = ""
    seed_algorithm: str = ""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """JSON text from which ``from_json`` makes an equal manifest."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The manifest in ``text``. Raises BundleError for anything incomplete, ill-typed or unsafe."""
        try:
            values = json.loads(text)
            if values["format_version"] != FORMAT_VERSION:
                raise BundleError(
                    f"the bundle has format version {values['format_version']}, this code reads {FORMAT_VERSION}"
                )
            values["spec"] = GeneratorSpec.from_dict(values["spec"])
            manifest = cls(**values)
        except SpecError as error:
            raise BundleError(f"the manifest's spec is wrong: {error}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"the manifest is malformed ({type(error).__name__}: {error}): export again") from None
        manifest._check_types()
        return manifest

    def _check_types(self) -> None:
        texts = isinstance(self.files, dict) and all(isinstance(digest, str) for digest in self.files.values())
        if not texts or not isinstance(self.opset, int) or not isinstance(self.verification, dict):
            raise BundleError("the manifest is malformed (files, opset or verification): export again")
        for name in self.files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or name in ("", MANIFEST):
                raise BundleError(f"the manifest names {name!r}, which lies outside the bundle")
        if missing := sorted({GRAPH, GOLDEN} - set(self.files)):
            raise BundleError(f"the manifest does not list {missing[0]}: export again")


def write_manifest(bundle: Path, **facts: Any) -> Manifest:
    """Hash every file in ``bundle`` and write ``manifest.json``; ``facts`` are Manifest's other fields."""
    names = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file() and p.name != MANIFEST)
    manifest = Manifest(files={name: sha256(bundle / name) for name in names}, **facts)
    write_atomic(bundle / MANIFEST, manifest.to_json())
    return manifest


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of ``bundle``, its files not yet looked at."""
    try:
        text = (bundle / MANIFEST).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise BundleError(f"{bundle} is not a bundle: it has no readable {MANIFEST} (make one with 'export')") from None
    return Manifest.from_json(text)


def read_bundle(bundle: Path) -> Manifest:
    """The manifest of ``bundle``, every file it lists found with its hash. Raises BundleError, naming the file."""
    manifest = read_manifest(bundle)
    for name, digest in manifest.files.items():
        path = bundle / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{bundle} lacks {name}: export again or copy the whole folder")
        if sha256(path) != digest:
            raise BundleError(f"{path} was changed after the export: export again")
    return manifest
