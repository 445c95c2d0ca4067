"""The bundle: what ``export`` hands to ``verify``, ``publish`` and whoever else runs the generator.

    exports/NAME/
      generator.onnx    the graph
      mapping.onnx synthesis.onnx  the same in two, where a family has styles: to mix and edit them in between
      golden.npz        inputs and the images PyTorch made of them
      CARD.md sheet.png what it is and what it makes, for people
      manifest.json     spec, sha256 of every other file and of itself, tools, verification figures; written last

Torch-free, and distrustful: a bundle may come from anywhere.
"""

import hashlib
import io
import json
from collections.abc import Mapping
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
MAPPING, SYNTHESIS = "mapping.onnx", "synthesis.onnx"
GOLDEN = "golden.npz"
CARD = "CARD.md"
SHEET = "sheet.png"

_LONGEST_NAME = 200  # characters; file systems stop at 255 bytes a part

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
        """The npz file: numbers only."""
        return pack_golden(self.inputs, "image", self.images)

    @classmethod
    def read(cls, path: Path) -> "Golden":
        """The golden images in an npz file. Raises BundleError if it is not one."""
        try:
            inputs, images = unpack_golden(path, "image")
        except Exception as error:  # numpy and zipfile raise half a dozen kinds for a damaged file
            raise BundleError(f"{path} holds no golden images ({error}): export or publish again") from None
        whole = images.dtype == np.uint8 and images.ndim == 4 and len(images) > 0
        if not whole or any(value.shape[:1] != images.shape[:1] for value in inputs.values()):
            raise BundleError(f"{path} holds golden images of the wrong shape: export or publish again")
        return cls(inputs, images)


def pack_golden(inputs: Mapping[str, NDArray[Any]], output: str, values: NDArray[Any]) -> bytes:
    """The npz file of a graph's ``inputs`` by name and the ``values`` of its one ``output``: numbers only."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{output: values}, **{f"input_{name}": array for name, array in inputs.items()})
    return buffer.getvalue()


def unpack_golden(path: Path, output: str) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """The inputs by name and the values of ``output``. A damaged file raises what NumPy and zipfile raise."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        inputs = {name[len("input_") :]: arrays[name] for name in arrays.files if name.startswith("input_")}
        return inputs, arrays[output]


def levels_apart(images: Images, expected: Images) -> int:
    """The largest difference in any pixel, in levels of 255; 256 where the shapes differ."""
    if images.shape != expected.shape or images.dtype != expected.dtype:
        return 256
    return int(np.abs(images.astype(np.int16) - expected.astype(np.int16)).max(initial=0))


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says. ``files`` maps each file's name to its sha256.

    The text also carries a ``seal``, its own sha256 taken with the seal empty: it finds accidents, not forgers.
    """

    spec: GeneratorSpec
    files: dict[str, str]
    opset: int
    tools: dict[str, str] = field(default_factory=dict)
    verification: dict[str, Any] = field(default_factory=dict)
    checkpoint_sha256: str = ""
    seed_algorithm: str = ""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """JSON text from which ``from_json`` makes an equal manifest, sealed with its own hash."""
        text = json.dumps({"seal": "", **asdict(self)}, indent=2) + "\n"
        return text.replace('"seal": ""', f'"seal": "{_digest(text)}"', 1)

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The manifest in ``text``. Raises BundleError for anything incomplete, ill-typed or unsafe."""
        try:
            values = json.loads(text)
            seal = values.pop("seal")
            if values["format_version"] != FORMAT_VERSION:
                raise BundleError(
                    f"the bundle has format version {values['format_version']}, this code reads {FORMAT_VERSION}"
                )
            values["spec"] = GeneratorSpec.from_dict(values["spec"])
            manifest = cls(**values)
        except SpecError as error:
            raise BundleError(f"the manifest's spec is wrong: {error}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BundleError(f"the manifest is malformed ({type(error).__name__}: {error}): export again") from None
        manifest._check_types()
        if not isinstance(seal, str) or _digest(text.replace(f'"seal": "{seal}"', '"seal": ""', 1)) != seal:
            raise BundleError("the manifest was changed after the export: export again")
        return manifest

    def _check_types(self) -> None:
        tables = all(_texts(table) for table in (self.files, self.tools)) and isinstance(self.verification, dict)
        texts = isinstance(self.checkpoint_sha256, str) and isinstance(self.seed_algorithm, str)
        if not tables or not texts or not isinstance(self.opset, int):
            raise BundleError("the manifest is malformed (a field is of the wrong type): export again")
        for name in self.files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not name.isprintable() or set(name) & set("\\:"):
                raise BundleError(f"the manifest names {name!r}, which lies outside the bundle")
            if str(path) != name or name in (".", MANIFEST) or len(name) > _LONGEST_NAME:
                raise BundleError(f"the manifest names {name[:80]!r}, which is not a file of a bundle")
        if missing := sorted({GRAPH, GOLDEN} - set(self.files)):
            raise BundleError(f"the manifest does not list {missing[0]}: export again")


def _texts(table: Any) -> bool:
    return isinstance(table, dict) and all(isinstance(value, str) for value in table.values())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_manifest(bundle: Path, **facts: Any) -> Manifest:
    """Hash every file in ``bundle`` and write ``manifest.json``; ``facts`` are Manifest's other fields."""
    names = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file() and p.name != MANIFEST)
    manifest = Manifest(files={name: sha256(bundle / name) for name in names}, **facts)
    write_atomic(bundle / MANIFEST, manifest.to_json())
    return manifest


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of ``bundle``, its files not yet looked at."""
    try:
        text = (bundle / MANIFEST).read_bytes().decode("utf-8")  # as it is: text mode would mend line endings
    except (OSError, UnicodeDecodeError):
        raise BundleError(f"{bundle} is not a bundle: it has no readable {MANIFEST} (make one with 'export')") from None
    try:
        return Manifest.from_json(text)
    except BundleError as error:
        raise BundleError(f"{bundle / MANIFEST}: {' '.join(str(error).split())}") from None


def read_bundle(bundle: Path) -> Manifest:
    """The manifest of ``bundle``, every file it lists found with its hash. Raises BundleError, naming the file."""
    manifest = read_manifest(bundle)
    for name, digest in manifest.files.items():
        path = bundle / name
        try:
            inside = path.resolve() == bundle.resolve() / name  # False where any part of the name is a link
            found = sha256(path) if inside and path.is_file() else None
        except (OSError, RuntimeError) as error:
            raise BundleError(f"{path} cannot be read ({error}): export again") from None
        if found is None:
            raise BundleError(f"{bundle} lacks {name}: export again or copy the whole folder")
        if found != digest:
            raise BundleError(f"{path} was changed after the export: export again")
    return manifest
