"""What picture files are called: a pattern such as ``{label}_{seed}``, which gives different pictures different names.

Seeds and numbers have a fixed number of digits, so that the pictures of one command differ in at most one field of free
length, and the length of a name says how long that is: whatever surrounds it, no two names are the same. Texts are
percent-encoded where some system would not take them, class names that some disks would not tell apart (by upper and
lower case, by how a letter is composed) down to what all do.
"""

import hashlib
import itertools
import string
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from core.errors import RequestRefused
from core.system import folded, portable_name, usable_name

FIELDS = {
    "seed": "the seed, in ten digits",
    "label": "the class",
    "truncation": "the truncation",
    "codes": "the values of all codes",
    "code": "the value of the code that --code goes through",
    "frame": "the number of an animation's frame, from 0",
    "layers": "which layers are mixed",
    "other": "the seed that they come from",
    "index": "the number of the picture in this command, from 0",
    "model": "the model",
    "version": "its version",
}
_LONGEST = 120  # bytes of a text in a name: file systems take 255 of the whole, some 143
_DIGEST = 16  # hexadecimal digits


class Naming:
    """Names of pictures by a pattern; ``known`` are the fields that these pictures have, ``varying`` those that differ.

    Raises RequestRefused for a malformed pattern, or one that would give two pictures the same name.
    """

    def __init__(self, pattern: str, known: Collection[str], varying: Collection[str] = ()) -> None:
        self._pieces = parse_names(pattern)
        used = {field for _, field in self._pieces if field}
        if missing := sorted(used - {*known, "index"}):
            there = ", ".join(field for field in FIELDS if field in {*known, "index"})
            raise RequestRefused(f"--names '{pattern}': these pictures have no {{{missing[0]}}}, they have {there}")
        if "index" not in used and (lacks := [field for field in varying if field not in used]):
            wanted = " and ".join(f"{{{field}}}" for field in lacks)
            raise RequestRefused(f"--names '{pattern}' gives several pictures one name: put {wanted} into it")

    def name(self, values: Mapping[str, str]) -> str:
        """The name, without ``.png``, of the picture with these ``values``, which are parts of names already."""
        return usable_name(
            "".join(literal + (values[field] if field else "") for literal, field in self._pieces), ".png"
        )


def parse_names(pattern: str) -> list[tuple[str, str]]:
    """A pattern as pairs of plain text and the field that follows it, which may be empty.

    Raises RequestRefused, which lists the fields, for a malformed pattern.
    """
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise RequestRefused(f"--names '{pattern}' is no pattern ({error}): {_how()}") from None

    for literal, field, spec, conversion in parts:
        if field is not None and (field not in FIELDS or spec or conversion):
            raise RequestRefused(f"--names '{pattern}': '{field}' is no field: {_how()}")
        if wrong := next((letter for letter in literal if portable_name(letter) != letter), ""):
            raise RequestRefused(f"--names '{pattern}': {wrong!r} cannot be in names on every system: leave it out")

    if not any(field for _, field, _, _ in parts):
        raise RequestRefused(f"--names '{pattern}' has no field, so that all pictures have one name: {_how()}")
    return [(literal, field or "") for literal, field, _, _ in parts]


def names_of_classes(classes: Sequence[str]) -> dict[str, str]:
    """Each class as a part of a file's name: all different, on disks that do not tell upper from lower case, too."""
    alike = Counter(map(folded, classes))
    return {label: _shortened(label, portable_name(label, narrow=alike[folded(label)] > 1)) for label in classes}


def text_in_names(text: str) -> str:
    """Any text as a part of a file's name."""
    return _shortened(text, portable_name(text))


def digits_of_index(total: int) -> int:
    """How many digits the numbers of ``total`` pictures have."""
    return max(len(str(total - 1)), 4)


def _shortened(text: str, name: str) -> str:
    """``name``, or, where it is too long, its beginning and a digest of ``text`` after a ``~``, which no other has."""
    if len(name.encode()) <= _LONGEST:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    sizes = itertools.accumulate(len(letter.encode()) for letter in name)
    room = sum(size <= _LONGEST - _DIGEST - 1 for size in sizes)
    return f"{name[:room]}~{digest}"


def _how() -> str:
    return f"write something like '{{label}}_{{seed}}', with any of {', '.join(FIELDS)}"
