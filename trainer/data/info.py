"""What a pack says of itself in ``dataset.json``, and the names of the files that it is made of."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from core.errors import DataError
from core.spec import AUTO, CHANNELS, FITS, RESAMPLINGS

FORMAT_VERSION = 1
INFO = "dataset.json"
IMAGES = "images.npy"
LABELS = "labels.npy"
SOURCES = "sources.npy"
PARTS_OF_IMAGES = "parts.npy"
PARTS_OF_SOURCES = "source_parts.npy"
SHEET = "sheet.png"  # the contact sheet, if it was asked for
FEATURES = "features"  # what judging a generator keeps

PARTS = ("train", "validation", "held")  # what parts.npy has the places of


@dataclass(frozen=True)
class SourcesInfo:
    """The pictures that a translator learns to make a pack's images from.

    Where they are ``paired``, source *i* belongs to image *i*; otherwise they are a domain of their own. ``licence``
    and ``attribution`` are empty where they are those of the images. ``fit`` and ``resample`` (``auto`` as an import
    chooses) say how any picture becomes one of these. ``parts`` has the meaning of ``PackInfo.parts``; paired sources
    are in the parts of their images.
    """

    height: int
    width: int
    channels: int
    count: int = 0
    paired: bool = True
    name: str = ""
    licence: str = ""
    attribution: str = ""
    fit: str = "pad"
    resample: str = AUTO
    parts: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of ``sources.npy``: (count, height, width, channels)."""
        return self.count, self.height, self.width, self.channels


@dataclass(frozen=True)
class PackInfo:
    """What ``dataset.json`` says. ``write_pack`` fills in what is counted: ``count``, ``parts`` and ``fingerprint``.

    ``skipped`` pairs a path, relative to the source, with the reason; ``options`` are those of the import; ``notes``
    are what it had to say, as (label, sentence), and ``warnings`` what speaks against training on it; ``alike`` pairs
    a picture with an earlier one that it looks nearly like, by their names. ``empty`` and ``duplicates`` were found
    among the source's pictures, and dropped unless the options say otherwise; ``distinct`` is how many of the pack's
    images differ, 0 if nobody counted, as in older packs. ``parts`` is how many images are in each of ``PARTS``, and
    empty where nothing is held out.
    """

    name: str
    height: int
    width: int
    channels: int
    classes: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""
    attribution: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    empty: int = 0
    duplicates: int = 0
    distinct: int = 0
    notes: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    alike: tuple[tuple[str, str], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    sources: SourcesInfo | None = None
    parts: tuple[int, ...] = ()
    count: int = 0
    fingerprint: str = ""
    format_version: int = FORMAT_VERSION

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of ``images.npy``: (count, height, width, channels)."""
        return self.count, self.height, self.width, self.channels

    @property
    def paired(self) -> bool:
        """Whether each image has a source."""
        return self.sources is not None and self.sources.paired

    def to_json(self) -> str:
        """JSON text from which ``from_json`` makes an equal info."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "PackInfo":
        """The info in ``text``. Raises DataError for another version or anything malformed."""
        try:
            values = json.loads(text)
            if (version := values["format_version"]) != FORMAT_VERSION:
                raise DataError(f"it has format version {version}, this code reads {FORMAT_VERSION}")
            values["classes"] = tuple(values["classes"])
            values["warnings"] = tuple(map(str, values.get("warnings", ())))

            # What JSON holds as lists
            for name in ("skipped", "notes", "alike"):
                values[name] = tuple((str(first), str(second)) for first, second in values.get(name, ()))

            # What older packs call otherwise
            for old, new in _RENAMED.items():
                if old in values:
                    values[new] = values.pop(old)
            values["parts"] = tuple(values.get("parts", ()))
            if (sources := values.get("sources")) is not None:
                values["sources"] = SourcesInfo(**{**sources, "parts": tuple(sources.get("parts", ()))})
            info = cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"its {INFO} is malformed ({type(error).__name__}: {error})") from None
        info._check()
        return info

    def _check(self) -> None:
        _check_kinds(self, _KINDS)
        texts = all(isinstance(name, str) for name in self.classes)
        if not texts or min(self.shape) < 1 or self.channels not in CHANNELS:
            raise DataError(f"its {INFO} is malformed (classes or shape)")
        _check_parts(self.parts, self.count)

        # Of the sources, where there are any
        if self.sources is None:
            return
        _check_kinds(self.sources, _SOURCE_KINDS)
        matched = self.sources.count == self.count or not self.sources.paired
        if min(self.sources.shape) < 1 or self.sources.channels not in CHANNELS or not matched:
            raise DataError(f"its {INFO} is malformed (the sources' shape)")
        if self.sources.fit not in FITS or self.sources.resample not in (*RESAMPLINGS, AUTO):
            raise DataError(f"its {INFO} is malformed (how sources were fitted)")
        _check_parts(self.sources.parts, self.sources.count)


def _check_kinds(info: PackInfo | SourcesInfo, kinds: dict[str, Any]) -> None:
    for name, kind in kinds.items():
        value = getattr(info, name)
        if type(value) is not kind:
            raise DataError(f"its {INFO} is malformed ({name} is {value!r})")


def _check_parts(parts: tuple[Any, ...], count: int) -> None:
    if parts and not (len(parts) == len(PARTS) and all(type(part) is int for part in parts) and sum(parts) == count):
        raise DataError(f"its {INFO} is malformed (parts is {list(parts)})")


_RENAMED = {"empty_cells": "empty", "duplicate_cells": "duplicates"}  # in older packs

_KINDS = {f.name: f.type for f in fields(PackInfo) if f.type in (str, int)} | {"options": dict}
_SOURCE_KINDS = {f.name: f.type for f in fields(SourcesInfo) if f.type in (str, int, bool)}
