"""A shard of bulk work as two files: a tar of PNG files in the WebDataset layout, and a manifest that says it is whole.

OUT/NAME-v3-00003-of-00064.tar     SEED.png of every seed, ascending; the same order always gives the same bytes
OUT/NAME-v3-00003-of-00064.json    written last: what was ordered, and the hashes of what came
"""

import hashlib
import importlib.metadata
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.errors import RequestRefused
from core.files import new_file, sha256, sweep
from core.images import Images, encode_png
from core.latents import ALGORITHM, parse_ranges
from core.spec import GeneratorSpec
from serving.bulk.ranges import Ranges, count, share, written
from serving.protocol.picture_texts import describe, of_seed
from serving.sampling.files import write_file, writing

FORMAT_VERSION = 1
MOST_SHARDS = 99_999
MANIFESTS = "*-of-*.json"
# How files of ours begin, and in how many bytes each says whose it is: a picture in its text, a manifest in all of it.
_OUR_MANIFEST, _OUR_TAR, _HEAD = re.compile(rb'\{\n  "count": '), re.compile(rb"[0-9]{10}\.png\0"), 4096


class State(StrEnum):
    """What is there of a shard."""

    ABSENT, DAMAGED, FINISHED = "absent", "damaged", "finished"


@dataclass(frozen=True)
class BulkOrder:
    """Everything that the bytes of all shards are a function of; one folder holds shards of one order.

    ``seeds`` are as ``written`` gives them; ``batch`` is how many of a shard's seeds, one after the other, are run
    together.
    """

    model: str
    version: str
    bundle_sha256: str
    seeds: str
    shards: int
    truncation: float
    label: str | None
    batch: int

    def name(self, shard: int) -> str:
        """The name of a shard's files, without their ends."""
        return f"{self.model}-v{self.version}-{shard:05d}-of-{self.shards:05d}"

    def seeds_of(self, shard: int) -> Ranges:
        """The seeds of a shard, ascending."""
        return share(parse_ranges(self.seeds), shard, self.shards)


@dataclass(frozen=True)
class Manifest:
    """What a finished shard holds. ``pixels_sha256`` is over the raw images in order, whatever PNG makes of them."""

    order: BulkOrder
    shard: int
    seeds: str
    count: int
    tar_bytes: int
    tar_sha256: str
    pixels_sha256: str
    generator: dict[str, Any]
    software: str
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """JSON text from which ``read_manifest`` makes an equal manifest."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_manifest(path: Path) -> Manifest | None:
    """The manifest in the file ``path``; None if that holds none that is whole.

    Raises RequestRefused for one of another format version.
    """
    try:
        values = json.loads(path.read_bytes())
        if values["format_version"] == FORMAT_VERSION:
            return Manifest(**values | {"order": BulkOrder(**values["order"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
        return None
    raise RequestRefused(f"{path} was written by another version of Ganfoundry: choose another --out")


def check_folder(order: BulkOrder, out: Path) -> None:
    """Raise RequestRefused, which says what differs, if the shards in ``out`` are of another order.

    As a folder holds one order only, any one of its manifests speaks for all.
    """
    for path in sorted(out.glob(MANIFESTS)):
        if manifest := read_manifest(path):
            _check_same(order, manifest, path)
            return


def state_of(order: BulkOrder, shard: int, out: Path) -> State:
    """What is in ``out`` of a shard: it is finished if its manifest is there, and the tar is what that says.

    Raises RequestRefused for a manifest of another order.
    """
    path, tar = _places(order, shard, out)
    if not path.exists():
        return State.ABSENT
    manifest = read_manifest(path)
    if manifest is None or manifest.shard != shard:
        return State.DAMAGED
    _check_same(order, manifest, path)
    whole = tar.is_file() and tar.stat().st_size == manifest.tar_bytes and sha256(tar) == manifest.tar_sha256
    return State.FINISHED if whole else State.DAMAGED


def write_shard(
    order: BulkOrder, shard: int, out: Path, spec: GeneratorSpec, samples: Iterable[tuple[int, Images]]
) -> None:
    """Write the tar and then the manifest of a shard, each whole or not at all, over what is there of them.

    ``samples`` are the shard's seeds with their images. Whoever writes the same shard at the same time writes the
    same bytes. Raises RequestRefused if another order has come into ``out`` since ``check_folder``, or for a file
    that is not ours, and ServingError for a disk that is full.
    """
    path, tar = _places(order, shard, out)
    for place, ours in ((path, _OUR_MANIFEST), (tar, _OUR_TAR)):
        if not _is_free(place, ours):
            raise RequestRefused(f"{place} is there, and Ganfoundry did not make it: move it, or choose another --out")

    # The tar, and the hashes of its bytes and of its pixels.
    facts = describe(spec, order.model, order.version, order.truncation, order.label)
    whole, pixels = hashlib.sha256(), hashlib.sha256()
    with writing(out):
        sweep(path)
        sweep(tar)
        with new_file(tar) as file:
            for block in _blocks(samples, facts, pixels):
                file.write(block)
                whole.update(block)
            size = file.tell()
            check_folder(order, out)

    # The manifest last, for it says that the shard is finished.
    seeds = order.seeds_of(shard)
    manifest = Manifest(
        order=order,
        shard=shard,
        seeds=written(seeds),
        count=count(seeds),
        tar_bytes=size,
        tar_sha256=whole.hexdigest(),
        pixels_sha256=pixels.hexdigest(),
        generator=_essentials(spec),
        software=", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("ganfoundry", "pillow")),
    )
    write_file(path, manifest.to_json().encode(), out)


def _is_free(place: Path, ours: re.Pattern[bytes]) -> bool:
    """Whether nothing is at ``place``, or what is ours, if perhaps cut short: it begins as ``ours`` does."""
    if not place.exists():
        return True
    if not place.is_file():
        return False
    with place.open("rb") as file:
        head = file.read(_HEAD)
    return not head or bool(ours.match(head) and (len(head) < _HEAD or b"anfoundry" in head))


def _places(order: BulkOrder, shard: int, out: Path) -> tuple[Path, Path]:
    """Where the manifest and the tar of a shard are."""
    name = order.name(shard)
    return out / f"{name}.json", out / f"{name}.tar"


def _blocks(samples: Iterable[tuple[int, Images]], facts: Mapping[str, str], pixels: Any) -> Iterator[bytes]:
    """The bytes of the tar, a member at a time; ``pixels`` is told of every image."""
    for seed, image in samples:
        pixels.update(image.tobytes())
        yield _member(f"{seed:010d}.png", encode_png(image, of_seed(facts, seed)))
    yield bytes(2 * tarfile.BLOCKSIZE)


def _member(name: str, data: bytes) -> bytes:
    """A file in a tar: a header without time or owner, the data, and zeros up to a whole block.

    ``tarfile.TarFile`` would remember every member, and shards are large.
    """
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def _essentials(spec: GeneratorSpec) -> dict[str, Any]:
    """What a reader of the images must know of their generator."""
    origin = spec.provenance
    return {
        "family": spec.family,
        "height": spec.height,
        "width": spec.width,
        "channels": spec.channels,
        "seed_algorithm": ALGORITHM,
        "trained_on": origin.data_name,
        "licence": origin.data_licence,
        "attribution": origin.data_attribution,
    }


def _check_same(order: BulkOrder, manifest: Manifest, path: Path) -> None:
    names = [field.name for field in fields(BulkOrder)]
    found = {name: (getattr(manifest.order, name), getattr(order, name)) for name in names}
    differ = [
        f"{name} {_short(theirs)}, not {_short(ours)}" for name, (theirs, ours) in found.items() if theirs != ours
    ]
    if differ:
        raise RequestRefused(f"{path} is of another order ({'; '.join(differ)}): choose another --out")


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
