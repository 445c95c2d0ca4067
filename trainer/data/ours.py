"""Which files of a folder this program wrote: packs, runs and bundles, proven by what is in them, not by their names.

Of a folder that is one of these only the files that we put there are ours: a person may keep pictures beside them.
"""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from core.bundle import MANIFEST, SUMS
from core.run import CONFIG, EVALUATION, EVALUATION_SHEET, FILES, FOLDERS, SAMPLES
from trainer.data.destination import FILES as PACK_FILES
from trainer.data.info import IMAGES, INFO, SHEET
from trainer.mark import LOCK, MARK

_PACK = PACK_FILES | {SHEET}
_RUN = frozenset(
    {MARK, LOCK, EVALUATION, EVALUATION_SHEET, *FILES, *FOLDERS} - {SAMPLES}
)  # whose previews are named below
_PREVIEW = re.compile(r"\d{9}\.png")
_LARGEST = 1 << 24  # bytes of a description


def ours(folder: Path, names: Collection[str]) -> set[str]:
    """Which of the ``names`` in ``folder``, files and folders, this program wrote."""
    found: set[str] = set()
    if INFO in names and IMAGES in names and _says(folder / INFO, {"fingerprint", "channels", "format_version"}):
        found |= _PACK
    if CONFIG in names and _says(folder / CONFIG, {"preset", "family", "system", "kimg"}):
        found |= _RUN
    if MANIFEST in names and SUMS in names and _says(folder / MANIFEST, {"spec", "files", "opset"}):
        found |= set(names)  # a bundle is sealed: nothing else can be in it
    if folder.name == SAMPLES and _says(folder.parent / CONFIG, {"preset", "family", "system", "kimg"}):
        found |= {name for name in names if _PREVIEW.fullmatch(name)}
    return found & set(names)


def _says(path: Path, keys: set[str]) -> bool:
    """Whether a JSON file holds an object with all of these keys."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return False
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and keys <= values.keys()
