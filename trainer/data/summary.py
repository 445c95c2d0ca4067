"""A pack for people: a table of what it holds, and a picture of it."""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from core.errors import DataError
from core.files import write_atomic
from core.images import CHANNEL_NAMES
from core.ours import may_write, signed_png
from core.places import why_not
from trainer.data.classes import members
from trainer.data.contact import MOST_CLASSES, contact_sheet
from trainer.data.destination import writing
from trainer.data.info import PARTS, SourcesInfo
from trainer.data.licences import remarks
from trainer.data.pack import Pack, PackInfo

_SKIPPED_SHOWN = 5
_PLAIN = ("not an image",)  # of these files nobody wants the names, but the kinds


def describe(pack: Pack) -> list[tuple[str, str]]:
    """What a pack holds, as (label, value) rows for a table."""
    info = pack.info
    rows = [
        ("name", info.name),
        ("images", _images(info)),
        ("size", _size(info)),
        ("channels", f"{info.channels} ({CHANNEL_NAMES[info.channels]})"),
        ("classes", _classes(pack)),
        ("source", info.source),
        ("licence", info.licence or "not stated"),
        ("attribution", info.attribution),
        ("parts", _parts(info.parts)),
        *_sources(info),
        ("options", ", ".join(f"{name} {value}" for name, value in info.options.items() if value is not None)),
        ("duplicates", _found(pack, info.duplicates, "duplicates", "look exactly like an earlier one")),
        ("empty", _found(pack, info.empty, "empty", "are empty or of a single colour")),
        *info.notes,
        ("fingerprint", info.fingerprint),
        ("on disk", _bytes(sum(p.stat().st_size for p in pack.path.rglob("*") if p.is_file()))),
    ]

    return [(label, value) for label, value in rows if value] + _skipped(pack)


def warnings(pack: Pack) -> list[str]:
    """What to know before training on a pack, a line each."""
    return [*pack.info.warnings, *remarks(pack)]


def save_sheet(pack: Pack, path: Path) -> str:
    """Write the contact sheet of a pack; says what it shows. Raises DataError where something is in the way."""
    if problem := why_not(path, whole=False):
        raise DataError(problem)
    if not may_write(path):
        raise DataError(f"{path} is there, and Ganfoundry did not make it: move it, or choose another --sheet")
    with writing(path):
        write_atomic(path, signed_png(contact_sheet(pack)))

    # What its rows are
    shown = [pack.info.classes[int(pack.labels[rows[0]])] for rows in members(pack)] if pack.labels is not None else []
    said = []
    if pack.info.sources is not None:
        said.append("each source left of its image" if pack.info.paired else "rows of sources, then rows of images")
    if shown and (pack.info.sources is None or pack.info.paired):
        some = f"the first {MOST_CLASSES} of {len(shown)} classes" if len(shown) > MOST_CLASSES else ", ".join(shown)
        said.append(f"a row for each class: {some}")
    return f"contact sheet: {path}" + (f" ({'; '.join(said)})" if said else "")


def _sources(info: PackInfo) -> list[tuple[str, str]]:
    """What the sources of pairs, or of two domains, are."""
    if (sources := info.sources) is None:
        return []
    belong = "one for each image" if sources.paired else f"{sources.count:,}, which belong to no image"
    kind = f"{_size(sources)}, {sources.channels} channels ({CHANNEL_NAMES[sources.channels]})"
    return [
        ("sources", f"{belong}: {kind}"),
        ("sources from", sources.name),
        ("their licence", sources.licence or ("that of the images" if info.licence else "not stated")),
        ("their attribution", sources.attribution),
        ("their parts", "" if sources.paired else _parts(sources.parts)),
    ]


def _parts(counts: tuple[int, ...]) -> str:
    """How many are to train on, to choose by and held out."""
    return ", ".join(f"{part} {count:,}" for part, count in zip(PARTS, counts, strict=True)) if counts else ""


def _classes(pack: Pack) -> str:
    if pack.labels is None:
        return "none"
    counts = np.bincount(pack.labels, minlength=len(pack.info.classes))
    return ", ".join(f"{name} {count:,}" for name, count in zip(pack.info.classes, counts, strict=True))


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def _size(info: PackInfo | SourcesInfo) -> str:
    """Which side is which is said where it matters: packs and scripts from before had the height first."""
    size = f"{info.width}x{info.height}"
    return size if info.width == info.height else f"{size} ({info.width} wide, {info.height} high)"


def _images(info: PackInfo) -> str:
    twins = info.distinct and info.distinct < info.count
    return f"{info.count:,}, {info.distinct:,} of them distinct" if twins else f"{info.count:,}"


def _found(pack: Pack, count: int, option: str, what: str) -> str:
    """How many pictures of the source were of a kind, and whether they are in the pack; nothing of older packs."""
    if not pack.info.distinct and not count:
        return ""
    kept = pack.info.options.get(option) == "keep"
    return f"{count:,} {what}: {'kept' if kept else 'dropped'}" if count else "none"


def _skipped(pack: Pack) -> list[tuple[str, str]]:
    """How many files were left out, by reason: damaged ones first and each by name, then the commonest."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for path, reason in pack.info.skipped:
        groups.setdefault(re.split(r"[:(]", reason)[0].strip(), []).append((path, reason))

    # A line for each reason, and for each file where there is more to say
    rows = [("skipped files", f"{len(pack.info.skipped):,}")]
    for kind, files in sorted(groups.items(), key=lambda group: (_harmless(group[0]), -len(group[1]), group[0])):
        if len(files) > 1:
            rows.append(("", f"{len(files):,} {kind}{_endings(files) if kind in _PLAIN else ''}"))
        if kind not in _PLAIN or len(files) == 1:
            rows += [("", f"{path}: {reason}") for path, reason in files[:_SKIPPED_SHOWN]]
            if len(files) > _SKIPPED_SHOWN:
                rows.append(("", f"… and {len(files) - _SKIPPED_SHOWN:,} more, all in dataset.json"))
    return rows


def _harmless(kind: str) -> int:
    """Damaged pictures come first: they are lost; then what could be had; last what never was a picture."""
    return 0 if kind.startswith(("damaged", "empty file", "cannot be read")) else 2 if kind in _PLAIN else 1


def _endings(files: list[tuple[str, str]]) -> str:
    counts = Counter(Path(path).suffix.lower() or "no ending" for path, _ in files)
    return f" ({', '.join(f'{ending} {count:,}' for ending, count in counts.most_common(_SKIPPED_SHOWN))})"
