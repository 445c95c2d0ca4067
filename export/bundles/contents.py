"""Parts of every bundle: where it may go, its ONNX file, its golden images and its sample sheet. Torch-free."""

from collections.abc import Callable
from pathlib import Path

from onnx import ModelProto

from core.bundle import CARD, MANIFEST, SUMS, Manifest, read_manifest
from core.contract import batches, sheet_inputs
from core.errors import BundleError, ExportError
from core.files import sha256, sweep_around
from core.golden import Golden
from core.images import Images, encode_png
from core.ours import facts_of
from core.places import LITTER, is_free, why_not
from core.seed_sheets import sheet_of_inputs
from core.sheets import Pages
from core.spec import GeneratorSpec
from core.trials import golden_inputs
from export.bundles.card_text import SHEET_SEEDS
from export.checks.reference import ImageFunction

LARGEST_FILE = 2**31 - 1  # what protobuf can hold; larger graphs would need files beside them

_SHEET_BATCH = 16

Progress = Callable[[str], None]  # hears what is being done, a few words at a time


def check_destination(destination: Path, overwrite: bool) -> None:
    """Raise ExportError where a bundle cannot go. Overwriting replaces a bundle, and never deletes anything else."""
    if problem := why_not(destination):
        raise ExportError(f"cannot write {destination}: {problem}")
    sweep_around(destination)
    if is_free(destination):
        return

    if not overwrite:
        raise ExportError(f"{destination} exists: choose another --out or add --overwrite")

    # Only a bundle, and one in which nobody put anything, is replaced
    try:
        manifest = read_manifest(destination)
    except BundleError:
        raise ExportError(
            f"{destination} is not a bundle and nothing else: it is not overwritten; choose another --out"
        ) from None
    if foreign := _foreign(destination, manifest):
        raise ExportError(
            f"{destination} is not a bundle and nothing else ({foreign}): it is not overwritten; move that, or choose "
            "another --out"
        )


def _foreign(bundle: Path, manifest: Manifest) -> str:
    """Something in a bundle that would be lost with it, as a few words; empty if there is nothing but what we wrote."""
    files = [path for path in bundle.rglob("*") if not path.is_dir() and path.name not in LITTER]
    names = {path.relative_to(bundle).as_posix() for path in files}
    if others := sorted(names - {MANIFEST, SUMS, *manifest.files}):
        return f"there is also {others[0]}"
    if CARD in names & manifest.files.keys() and sha256(bundle / CARD) != manifest.files[CARD]:
        return f"somebody wrote in {CARD}"
    return ""


def serialised(model: ModelProto) -> bytes:
    """The ONNX file. Raises ExportError if one cannot hold it."""
    if (size := model.ByteSize()) > LARGEST_FILE:
        raise ExportError(f"the graph has {size / 2**30:.1f} GiB and one ONNX file holds 2: train a narrower network")
    return bytes(model.SerializeToString(deterministic=True))


def golden_images(spec: GeneratorSpec, make: ImageFunction, examples: Images | None = None) -> Golden:
    """Golden inputs (core/trials.py) and the images of them."""
    inputs = golden_inputs(spec, examples)
    return Golden(inputs, make(inputs))


def sample_sheet(spec: GeneratorSpec, make: ImageFunction, examples: Images | None = None) -> bytes:
    """The PNG file of a sheet of the first seeds, or of a row of them for each class, or of ``examples`` and what a
    translator makes of them."""
    inputs, columns = sheet_inputs(spec, len(SHEET_SEEDS), examples)
    images = [image for batch in batches(inputs, _SHEET_BATCH) for image in make(batch)]
    origin = spec.provenance
    seen = f"after {origin.images_seen:,} images" if origin.images_seen else ""
    title = [part for part in (origin.data_name, seen) if part]
    drawn = sheet_of_inputs(spec, inputs, columns, images, title)
    (page,) = Pages(drawn, (spec.height, spec.width), one=True)
    return encode_png(page.picture, {**facts_of(spec), **page.facts})
