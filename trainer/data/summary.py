"""A pack for people: a table of what it holds, and a picture of it."""

import numpy as np
from PIL import Image

from core.images import over_checkerboard, sheet, to_pillow
from trainer.data.pack import Pack

_SKIPPED_SHOWN = 5
_CHANNEL_NAMES = {1: "grey", 3: "RGB", 4: "RGBA"}
# Thumbnails on a contact sheet are enlarged or reduced to about this many pixels.
_THUMBNAIL = 96


def describe(pack: Pack) -> list[tuple[str, str]]:
    """What a pack holds, as (label, value) rows for a table."""
    info = pack.info
    rows = [
        ("name", info.name),
        ("images", f"{info.count:,}"),
        ("size", f"{info.width}x{info.height} ({info.width} wide, {info.height} high)"),
        ("channels", f"{info.channels} ({_CHANNEL_NAMES[info.channels]})"),
        ("classes", _classes(pack)),
        ("source", info.source),
        ("licence", info.licence or "not stated"),
        ("attribution", info.attribution),
        ("options", ", ".join(f"{name} {value}" for name, value in info.options.items() if value is not None)),
        ("dropped cells", _dropped(pack)),
        ("fingerprint", info.fingerprint),
        ("on disk", _bytes(sum(p.stat().st_size for p in pack.path.rglob("*") if p.is_file()))),
    ]
    return [(label, value) for label, value in rows if value] + _skipped(pack)


def contact_sheet(pack: Pack, count: int = 64) -> Image.Image:
    """``count`` images spread evenly over the pack, in rows over a checkerboard, as an RGB picture."""
    chosen = pack.gather(np.linspace(0, len(pack) - 1, min(count, len(pack))).round().astype(np.int64))
    longest = max(pack.info.height, pack.info.width)
    enlarge, reduce = max(_THUMBNAIL // longest, 1), max(longest // _THUMBNAIL, 1)
    page = sheet(chosen.repeat(enlarge, axis=1).repeat(enlarge, axis=2), gap=4 * reduce)
    return to_pillow(over_checkerboard(page, square=8 * reduce)).reduce(reduce)


def _classes(pack: Pack) -> str:
    if pack.labels is None:
        return "none"
    counts = np.bincount(pack.labels, minlength=len(pack.info.classes))
    return ", ".join(f"{name} {count:,}" for name, count in zip(pack.info.classes, counts, strict=True))


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def _dropped(pack: Pack) -> str:
    empty, duplicate = pack.info.empty_cells, pack.info.duplicate_cells
    return f"{empty:,} empty, {duplicate:,} duplicate" if empty or duplicate else ""


def _skipped(pack: Pack) -> list[tuple[str, str]]:
    """How many files were left out, and the first of them with their reasons."""
    skipped = pack.info.skipped
    rows = [("skipped files", f"{len(skipped):,}")]
    rows += [("", f"{path}: {reason}") for path, reason in skipped[:_SKIPPED_SHOWN]]
    if len(skipped) > _SKIPPED_SHOWN:
        rows.append(("", f"… and {len(skipped) - _SKIPPED_SHOWN:,} more, all in dataset.json"))
    return rows
