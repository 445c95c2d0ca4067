"""The bundle: what ``export`` hands to ``verify``, ``publish`` and whoever else runs the generator.

    exports/NAME/
      generator.onnx    the graph
      mapping.onnx synthesis.onnx  the same in two, where a family has styles: to mix and edit them in between
      generator.fp16.onnx generator.int8.onnx  the whole in other precisions, where they were asked for
      golden.npz        inputs and the images PyTorch made of them
      CARD.md sheet.png what it is and what it makes, for people
      manifest.json     spec, sha256 of every file above and of itself, tools, verification figures
      SHA256SUMS        the same hashes and the manifest's, for ``sha256sum -c SHA256SUMS``; written last

Nothing goes in a circle: the manifest holds the hashes of the files, SHA256SUMS those and the manifest's. SHA256SUMS
has no hash of its own, nor needs one, because each of its bytes follows from the manifest. So a change of any byte in
any file is found. Where someone mends hashes and seal too, ``verify`` still finds a spec or checkpoint that is not the
graph's, and golden images that the graph does not make. What nobody can find from within is a bundle made anew to
deceive, in which everything fits: whoever must know gets the hash of SHA256SUMS by another way.

Torch-free, and distrustful: a bundle may come from anywhere.
"""

import hashlib
import json
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from core.errors import BundleError, SpecError
from core.files import sha256, write_atomic
from core.hashes import hashes_of, render_sums
from core.spec import GeneratorSpec

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
GRAPH = "generator.onnx"
MAPPING, SYNTHESIS = "mapping.onnx", "synthesis.onnx"
FP16, INT8 = "generator.fp16.onnx", "generator.int8.onnx"
GOLDEN = "golden.npz"
CARD = "CARD.md"
SHEET = "sheet.png"

# Of files that nobody vouches for: more than any of ours needs, less than harms the machine that reads them.
LARGEST_MANIFEST = 1 << 24  # bytes

_LONGEST_NAME = 200  # characters; file systems stop at 255 bytes a part
_LONGEST_COMPLAINT = 300  # characters of an error that quotes the file it is about


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says. ``files`` maps each file's name to its sha256.

    ``checkpoint_sha256`` is that of the file the generator came from; ``judged`` its KID and what that rests on, empty
    where it is not known.

    The text also carries a ``seal``, its own sha256 taken with the seal empty: it finds accidents, not forgers.
    """

    spec: GeneratorSpec
    files: dict[str, str]
    opset: int
    tools: dict[str, str] = field(default_factory=dict)
    verification: dict[str, Any] = field(default_factory=dict)
    checkpoint_sha256: str = ""
    seed_algorithm: str = ""
    judged: dict[str, Any] = field(default_factory=dict)
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
        if _digest(text.replace(f'"seal": "{seal}"', '"seal": ""')) != seal:
            raise BundleError("the manifest was changed after the export: export again")
        return manifest

    def _check_types(self) -> None:
        tables = all(_texts(table) for table in (self.files, self.tools))
        tables = tables and isinstance(self.verification, dict) and _flat(self.judged)
        texts = isinstance(self.checkpoint_sha256, str) and isinstance(self.seed_algorithm, str)
        if not tables or not texts or not isinstance(self.opset, int):
            raise BundleError("the manifest is malformed (a field is of the wrong type): export again")

        # Names: plain ones, inside the bundle, of files that a bundle has
        for name in self.files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not name.isprintable() or set(name) & set("\\:"):
                raise BundleError(f"the manifest names {name!r}, which lies outside the bundle")
            if str(path) != name or name in (".", MANIFEST, SUMS) or len(name) > _LONGEST_NAME:
                raise BundleError(f"the manifest names {name[:80]!r}, which is not a file of a bundle")

        if missing := sorted({GRAPH, GOLDEN} - set(self.files)):
            raise BundleError(f"the manifest does not list {missing[0]}: export again")


def _texts(table: Any) -> bool:
    return isinstance(table, dict) and all(isinstance(value, str) for value in table.values())


def _flat(table: Any) -> bool:
    plain = str | int | float | None
    return isinstance(table, dict) and all(isinstance(value, plain) for value in table.values())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_manifest(bundle: Path, **facts: Any) -> Manifest:
    """Hash every file in ``bundle``, write ``manifest.json`` and ``SHA256SUMS``; ``facts`` are Manifest's others."""
    found = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    names = [name for name in found if name not in (MANIFEST, SUMS)]
    manifest = Manifest(files=hashes_of(bundle, names), **facts)
    text = manifest.to_json()
    write_atomic(bundle / MANIFEST, text)
    write_atomic(bundle / SUMS, _sums(manifest, _digest(text)))
    return manifest


def _sums(manifest: Manifest, digest: str) -> str:
    """What SHA256SUMS holds, a line a file as coreutils' sha256sum writes it; ``digest`` is the manifest's own."""
    return render_sums({**manifest.files, MANIFEST: digest})


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of ``bundle``, its files not yet looked at."""
    try:
        text = _read_small(bundle / MANIFEST)
    except (OSError, ValueError):
        raise BundleError(f"{bundle} is not a bundle: it has no readable {MANIFEST} (make one with 'export')") from None
    try:
        return Manifest.from_json(text)
    except BundleError as error:
        complaint = " ".join(str(error).split())[:_LONGEST_COMPLAINT]
        raise BundleError(f"{bundle / MANIFEST}: {complaint}") from None


def _read_small(path: Path) -> str:
    """A text file as it is, line endings included. Raises OSError or ValueError for anything but such a file.

    A link could lead to a device that never ends, a pipe would wait for ever.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_MANIFEST:
        raise ValueError(f"{path} is not a file of at most {LARGEST_MANIFEST} bytes")
    return path.read_bytes().decode("utf-8")


def read_bundle(bundle: Path) -> Manifest:
    """The manifest of ``bundle``, every file it lists found with its hash. Raises BundleError, naming the file.

    Links are followed as caches make them, which keep all files in one folder: into the bundle itself, or into the
    folder that the link to its manifest leads into.
    """
    manifest = read_manifest(bundle)
    allowed = {bundle.resolve(), (bundle / MANIFEST).resolve().parent}

    for name, digest in manifest.files.items():
        path = bundle / name
        try:
            inside = bool(allowed & set(path.resolve().parents))
            found = sha256(path) if inside and path.is_file() else None
        except (OSError, RuntimeError) as error:
            raise BundleError(f"{path} cannot be read ({error}): export again") from None
        if found is None:
            raise BundleError(f"{bundle} lacks {name}: export again or copy the whole folder")
        if found != digest:
            raise BundleError(f"{path} was changed after the export: export again")

    _check_sums(bundle, manifest)
    return manifest


def _check_sums(bundle: Path, manifest: Manifest) -> None:
    try:
        found = _read_small(bundle / SUMS)
    except (OSError, ValueError):
        raise BundleError(f"{bundle} lacks a readable {SUMS}: export again or copy the whole folder") from None
    if found != _sums(manifest, sha256(bundle / MANIFEST)):
        raise BundleError(f"{bundle / SUMS} does not fit {MANIFEST}: one of them was changed after the export")
