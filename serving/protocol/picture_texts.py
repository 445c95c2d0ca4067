"""The texts inside every picture that a generator made: what it is, of which model, and whose data it was trained on.

One place says what they are, for files that are written here and for those that NAME_png makes inside Triton.
"""

import json
from collections.abc import Iterable, Mapping

from core.ours import facts_of
from core.spec import GeneratorSpec

TRANSLATED = "Translated from"  # a text of every file that a translator made of another
# What differs from picture to picture, or from version to version: a served model fills it in.
_OPEN = frozenset({"Version", "Truncation", "Label", "Codes", "Seed"})


def describe(
    spec: GeneratorSpec,
    model: str,
    version: str,
    truncation: str | float = 1.0,
    label: str | None = None,
    codes: Iterable[float] | None = None,
) -> dict[str, str]:
    """The texts that every picture of a command shares; ``truncation`` as text is taken as it is, ``codes`` are 0
    unless given. A translator has neither."""
    origin = facts_of(spec)
    facts = {"Software": origin.pop("Software"), "Model": model, "Version": version}
    if spec.source is not None:
        return {**facts, **origin}
    facts["Truncation"] = truncation if isinstance(truncation, str) else f"{truncation:g}"
    if label is not None:
        facts["Label"] = label
    if spec.codes:
        facts["Codes"] = ",".join(map(number, [0.0] * spec.codes if codes is None else codes))
    return {**facts, **origin}


def of_seed(facts: Mapping[str, str], seed: int | str) -> dict[str, str]:
    """The texts of the picture of one seed, given those that it shares with others."""
    return {**facts, "Seed": str(seed)}


def of_source(facts: Mapping[str, str], source: str) -> dict[str, str]:
    """The texts of a picture that a translator made of the file ``source``."""
    return {**facts, TRANSLATED: source}


def to_fill_in(spec: GeneratorSpec, model: str) -> bytes:
    """The same texts for a served model that makes the files itself, as JSON: null is what it has to say of each.

    ``{"Software": "Ganfoundry 0.1", "Version": null, …}``
    """
    facts = describe(spec, model, "?", "?", "?" if spec.classes else None)
    facts = facts if spec.source else of_seed(facts, "?")
    values = {name: None if name in _OPEN else text for name, text in facts.items()}
    return json.dumps(values, indent=1).encode() + b"\n"


def number(value: float) -> str:
    """A number in names and texts: six digits, or as many as tell it from others of its type."""
    short = f"{value:g}"
    return short if type(value)(short) == value else str(value)
