"""The pack: images ready for training, in a directory that describes itself.

data/NAME/
  images.npy        uint8 (count, height, width, channels), straight alpha, hidden colour 0; memory-mapped
  labels.npy        int64 (count,), indices of classes; only where there are classes
  sources.npy       uint8 (count, height, width, channels) of their own, what the images are made from; only of pairs,
                    row by row, and of two domains, whose counts differ
  parts.npy         uint8 (count,), 0 to train on, 1 to choose the best generator by, 2 held out; absent: all is 0
  source_parts.npy  the same for the sources of two domains
  dataset.json      PackInfo: size, classes, fingerprint, licence, skipped files
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.files import new_directory, write_atomic
from core.images import Images
from trainer.data.arrays import digest_of, load_array, save_pictures
from trainer.data.destination import check_destination, writing
from trainer.data.info import (
    FEATURES,
    FORMAT_VERSION,
    IMAGES,
    INFO,
    LABELS,
    PARTS,
    PARTS_OF_IMAGES,
    PARTS_OF_SOURCES,
    SHEET,
    SOURCES,
    PackInfo,
    SourcesInfo,
)

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

__all__ = [
    "FEATURES",
    "FORMAT_VERSION",
    "IMAGES",
    "INFO",
    "LABELS",
    "PARTS",
    "SHEET",
    "Pack",
    "PackInfo",
    "SourcesInfo",
    "write_pack",
]

Labels = NDArray[np.int64]
Parts = NDArray[np.uint8]  # places in PARTS


@dataclass(frozen=True, eq=False)
class Pack:
    """An open pack: ``images`` uint8 ``(n, h, w, c)``, memory-mapped, and ``labels`` int64 ``(n,)`` or None.

    ``sources`` is uint8 ``(m, H, W, C)`` or None; ``parts`` and ``source_parts`` are None where nothing is held out.
    """

    path: Path
    info: PackInfo
    images: Images
    labels: Labels | None
    sources: Images | None = None
    parts: Parts | None = None
    source_parts: Parts | None = None

    @classmethod
    def open(cls, path: Path) -> "Pack":
        """The pack in the directory ``path``, its images not yet read. Raises DataError if it is not a whole pack."""
        path = Path(path)
        if not (path / INFO).is_file():
            raise DataError(f"{path} is not a pack: it has no {INFO} (make one with 'data import')")
        try:
            info = PackInfo.from_json((path / INFO).read_text(encoding="utf-8"))
            images = load_array(path / IMAGES, np.dtype(np.uint8), info.shape)
            labels = _load_labels(path / LABELS, info)
            parts = _load_parts(path / PARTS_OF_IMAGES, info.parts)

            # The other side, where it has one
            sources = source_parts = None
            if info.sources is not None:
                sources = load_array(path / SOURCES, np.dtype(np.uint8), info.sources.shape)
                source_parts = _load_parts(path / PARTS_OF_SOURCES, info.sources.parts)
        except (DataError, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be used: {error}; import it again") from None
        return cls(path, info, images, labels, sources, parts, source_parts)

    def __len__(self) -> int:
        return self.info.count

    def gather(self, indices: Sequence[int] | NDArray[np.int64]) -> Images:
        """The images at ``indices``, in that order, as a contiguous uint8 ``(len(indices), h, w, c)`` array."""
        return np.ascontiguousarray(self.images[np.asarray(indices, np.int64)])

    def gather_sources(self, indices: Sequence[int] | NDArray[np.int64]) -> Images:
        """The sources at ``indices``, in that order. Raises DataError if the pack has none."""
        if self.sources is None:
            raise DataError(f"{self.path} has no sources: 'data import TARGETS PACK --sources FOLDER' makes pairs")
        return np.ascontiguousarray(self.sources[np.asarray(indices, np.int64)])

    def rows(self, part: str) -> NDArray[np.int64]:
        """Which images are in a part, ``train``, ``validation`` or ``held``: ascending, int64. All are in ``train``
        where nothing is held out."""
        return _rows(self.parts, len(self), part)

    def source_rows(self, part: str) -> NDArray[np.int64]:
        """The same for the sources. Those of pairs are in the parts of their images."""
        if self.info.sources is None or self.info.sources.paired:
            return self.rows(part)
        return _rows(self.source_parts, self.info.sources.count, part)

    def verify(self) -> None:
        """Read every image and source. Raises DataError if they are not those that were imported."""
        sources = None if self.sources is None else digest_of(self.sources)
        if _fingerprint(digest_of(self.images), sources, self) != self.info.fingerprint:
            raise DataError(f"{self.path} was changed after the import: import it again")


def write_pack(
    destination: Path,
    images: Iterable[Images],
    labels: Sequence[int] | Labels | None,
    info: PackInfo,
    overwrite: bool = False,
    *,
    sources: Iterable[Images] | None = None,
    parts: Sequence[int] | Parts | None = None,
    source_parts: Sequence[int] | Parts | None = None,
) -> Pack:
    """Write ``(h, w, c)`` images one by one, so that memory holds a single one, and open the result.

    ``sources`` are ``(H, W, C)`` pictures as ``info.sources`` says, one for each image where they are paired; ``parts``
    are places in ``PARTS`` of the images, ``source_parts`` of the sources of two domains.
    The pack appears whole or not at all. An existing ``destination`` is a DataError unless ``overwrite``, which
    replaces packs only.
    """
    check = partial(check_destination, destination, overwrite)
    check()
    if (sources is None) != (info.sources is None):
        raise DataError("a pack has sources where its info says what they are, and there alone")
    with writing(destination), new_directory(destination, overwrite, check) as directory:
        # Pictures
        count, digest = save_pictures(directory / IMAGES, images, info.shape[1:])
        info, sources_digest = replace(info, count=count), None
        if sources is not None and info.sources is not None:
            number, sources_digest = save_pictures(directory / SOURCES, sources, info.sources.shape[1:])
            info = replace(info, sources=replace(info.sources, count=number))

        # What is said of each
        pack = _described(Pack(directory, info, np.empty(0, np.uint8), None), labels, parts, source_parts)
        said = {LABELS: pack.labels, PARTS_OF_IMAGES: pack.parts, PARTS_OF_SOURCES: pack.source_parts}
        for name, array in said.items():
            if array is not None:
                np.save(directory / name, array, allow_pickle=False)
        info = replace(pack.info, fingerprint=_fingerprint(digest, sources_digest, pack))
        write_atomic(directory / INFO, info.to_json())
    return Pack.open(destination)


def _described(
    pack: Pack,
    labels: Sequence[int] | Labels | None,
    parts: Sequence[int] | Parts | None,
    source_parts: Sequence[int] | Parts | None,
) -> Pack:
    """The pack with labels and parts, counted. Raises DataError for those that do not fit its pictures."""
    info, sources = pack.info, pack.info.sources
    if sources is not None and sources.paired and sources.count != info.count:
        raise DataError(f"{sources.count} sources are not one for each of {info.count} images")
    if source_parts is not None and (sources is None or sources.paired):
        raise DataError("paired sources are in the parts of their images: they have none of their own")
    of_images = _part_array(parts, info.count)
    of_sources = None if sources is None else _part_array(source_parts, sources.count)
    sources = sources and replace(sources, parts=_counts(of_sources))
    info = replace(info, parts=_counts(of_images), sources=sources)
    return replace(pack, info=info, labels=_label_array(labels, info), parts=of_images, source_parts=of_sources)


def _label_array(labels: Sequence[int] | Labels | None, info: PackInfo) -> Labels | None:
    if labels is None and not info.classes:
        return None
    array = np.asarray(() if labels is None else labels, np.int64)
    if array.shape != (info.count,) or array.min() < 0 or array.max() >= len(info.classes):
        raise DataError(f"{len(array)} labels do not fit {info.count} images of {len(info.classes)} classes")
    return array


def _part_array(parts: Sequence[int] | Parts | None, count: int) -> Parts | None:
    """The parts, or None where all of them are to train on. Raises DataError if none is."""
    if parts is None:
        return None
    array = np.asarray(parts, np.uint8)
    if array.shape != (count,) or array.max() >= len(PARTS):
        raise DataError(f"{len(array)} parts, each of {', '.join(PARTS)}, do not fit {count} pictures")
    if array.min() > 0:
        raise DataError("all pictures are held out, and none is left to train on: lower --held")
    return array if array.any() else None


def _counts(parts: Parts | None) -> tuple[int, ...]:
    return () if parts is None else tuple(np.bincount(parts, minlength=len(PARTS)).tolist())


def _rows(parts: Parts | None, count: int, part: str) -> NDArray[np.int64]:
    place = PARTS.index(part)
    if parts is None:
        return np.arange(count if place == 0 else 0, dtype=np.int64)
    return np.flatnonzero(parts == place).astype(np.int64)


def _fingerprint(images: "Hash", sources: "Hash | None", pack: Pack) -> str:
    """Completes a digest of all image bytes: the same images, labels and classes, sources and parts give the same
    fingerprint, and where there are no sources or parts, that of packs from before there were any."""
    info, digest = pack.info, images
    if pack.labels is not None:
        digest.update(np.ascontiguousarray(pack.labels, "<i8").data)
    digest.update(json.dumps([*info.shape, *info.classes]).encode())
    if sources is not None and info.sources is not None:
        digest.update(json.dumps(["sources", *info.sources.shape, info.sources.paired, sources.hexdigest()]).encode())
    for name, parts in (("parts", pack.parts), ("source parts", pack.source_parts)):
        if parts is not None:
            digest.update(name.encode() + parts.tobytes())
    return digest.hexdigest()


def _load_labels(path: Path, info: PackInfo) -> Labels | None:
    if not info.classes:
        return None
    labels = np.array(load_array(path, np.dtype(np.int64), (info.count,)))
    if labels.min() < 0 or labels.max() >= len(info.classes):
        raise DataError(f"{path.name} holds labels outside its {len(info.classes)} classes")
    return labels


def _load_parts(path: Path, counts: tuple[int, ...]) -> Parts | None:
    if not counts:
        return None
    parts = np.array(load_array(path, np.dtype(np.uint8), (sum(counts),)))
    if parts.max() >= len(PARTS) or _counts(parts) != counts:
        raise DataError(f"{path.name} does not hold the parts that its {INFO} says")
    return parts
