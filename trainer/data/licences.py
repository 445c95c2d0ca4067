"""Licences of images in SPDX's spelling (spdx.org/licenses). What a person said is never refused, and never changed."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from shlex import quote
from typing import NamedTuple

from core.errors import DataError
from core.files import write_atomic
from trainer.data.pack import INFO, Pack

OWN_WORK = "own work"


class Answer(NamedTuple):
    """What a person says of the images: their licence, and whom to credit."""

    licence: str
    attribution: str


# What game art usually is, as the question lists it: a licence, and what it asks for in a few words.
CHOICES = (
    (OWN_WORK, "you drew them yourself, or hold all rights"),
    ("CC0-1.0", "nothing is asked for"),
    ("CC-BY-4.0", "name the authors"),
    ("CC-BY-SA-4.0", "name the authors, share alike"),
    ("GPL-2.0-or-later", "share alike, with the source"),
    ("OFL-1.1", "of fonts: share alike, not sold by themselves"),
    ("MIT", "keep the notice"),
)
_OTHERS = (
    *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LAL-1.3", "MPL-2.0", "PDDL-1.0"),
    *("Unlicense", "WTFPL", "Zlib", "CC-PDDC", "GFDL-1.3-or-later"),
)
# Words that people write out, and endings that say nothing.
_WORDS = (
    (r"creative ?commons", "cc"),
    (r"attribution|namensnennung", "by"),
    (r"share-?alike", "sa"),
    (r"non-?commercial", "nc"),
    (r"no-?deriv(ative)?s?( works)?", "nd"),
    (r"gnu", ""),
    (r"affero", "a"),
    (r"lesser|library", "l"),
    (r"general public licen[cs]e", "gpl"),
    (r"(sil )?open font licen[cs]e", "ofl"),
    (r"free art licen[cs]e|licence art libre", "lal"),
    (r"zero|public domain dedication", "0"),
    (r"\b(version|licen[cs]ed?|international|unported|the|v)\b", ""),
)
_CC = re.compile(r"cc(by)(nc)?(sa|nd)?(nc)?(?:([134])0?|(2)([05])?)?")
_GPL = re.compile(
    r"(a|l)?gpl(?:v?([1-3])(?:([01])0?)?)?(only|orlater|orhigher|oranylater|oranylaterversion|orabove|plus)?"
)


def spelled(said: str) -> str:
    """How SPDX spells the licence that was ``said``, as near as can be told; "" where it is not known to be one.

    Versions that were left out are the usual ones. Of an expression (``MIT OR CC0-1.0``) each part is spelled.
    """
    parts = re.split(r" (AND|OR|WITH) ", said.strip())
    names = [part if part in ("AND", "OR", "WITH") else _spelled(part) for part in parts]
    return " ".join(names) if all(names) else ""


def remarks(pack: Pack) -> list[str]:
    """What there is to say of a pack's licence and credit and of its sources', in lines that say what to do."""
    info, sources = pack.info, pack.info.sources
    change = f"'data info {quote(str(pack.path))}"
    found = [_remark(info.licence, info.attribution, f"{change} --")]
    if sources is not None and sources.licence:
        said = _remark(sources.licence, sources.attribution or info.attribution, f"{change} --sources-")
        found.append(f"of the sources: {said}" if said else "")
    return [line for line in found if line]


def _remark(licence: str, attribution: str, mend: str) -> str:
    if not licence:
        return (
            f"no licence is stated, so nobody can tell how what comes out may be used: {mend}licence NAME' notes it "
            f"({', '.join(name for name, _ in CHOICES)} or words of your own; docs/selling.md)"
        )

    # A name that everybody knows, in its own spelling
    known = spelled(licence)
    if known and known != licence:
        return (
            f"the licence stays as it was said, {licence!r}; if {known} is meant, {mend}licence {known}' spells it so"
        )
    if "CC-BY" in known and not attribution:
        return f"{known} asks for the authors' names: {mend}attribution NAMES' notes them"
    return ""


def ask(question: Callable[[str], str], say: Callable[[str], None], these: str = "these images") -> Answer:
    """Ask once for the licence, and whom to credit where it wants that. Nothing said is nothing stated."""
    say(f"Under which licence are {these}? It goes into the pack, the bundle, its card and every picture.")
    for number, (name, about) in enumerate(CHOICES, 1):
        say(f"  {number}  {name:<18}{about}")
    licence = answered(question("A number, a name or words of your own (Enter: not stated)"), CHOICES)
    if not licence:
        return Answer("", "")
    say(f"noted: {licence}")
    return Answer(licence, question("Whom to credit (Enter: nobody)") if "CC-BY" in licence else "")


def may_ask() -> bool:
    """Whether a person is there to answer: never without a terminal, and never in continuous integration."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return not in_ci and sys.stdin.isatty() and sys.stdout.isatty()


def note(pack: Pack, licence: str, attribution: str, sources_licence: str = "", sources_attribution: str = "") -> Pack:
    """The pack with its licence and credit noted, where something is said; its images stay what they are.

    Raises DataError for what is said of sources if there are none.
    """
    said = [" ".join(text.split()) for text in (licence, attribution, sources_licence, sources_attribution)]
    info = replace(pack.info, licence=said[0] or pack.info.licence, attribution=said[1] or pack.info.attribution)
    if (sources := info.sources) is not None:
        theirs = said[2] or sources.licence, said[3] or sources.attribution
        info = replace(info, sources=replace(sources, licence=theirs[0], attribution=theirs[1]))
    elif said[2] or said[3]:
        raise DataError(f"{pack.path} has no sources: leave out --sources-licence and --sources-attribution")
    if info != pack.info:
        write_atomic(pack.path / INFO, info.to_json())
    return replace(pack, info=info)


def answered(text: str, choices: Sequence[tuple[str, str]]) -> str:
    """The licence that an answer means: one of the ``choices`` by its number or nearly by its name, or the words."""
    text = text.strip()
    if text.isdecimal() and 1 <= int(text) <= len(choices):
        return choices[int(text) - 1][0]
    return spelled(text) or text


def _spelled(said: str) -> str:
    text = said.lower()
    if text == OWN_WORK or not text:
        return text
    for word, short in _WORDS:
        text = re.sub(word, short, text)
    text = re.sub("[^a-z0-9]", "", text.replace("+", "plus"))
    if family := _CC.fullmatch(text) or _CC.fullmatch("cc" + text):
        return _creative_commons(*family.groups())
    if family := _GPL.fullmatch(text):
        return _general_public(*family.groups())
    return _plain(text)


def _creative_commons(by: str, nc: str | None, way: str | None, late_nc: str | None, *version: str | None) -> str:
    terms = [by, *(["nc"] if nc or late_nc else []), *([way] if way else [])]
    return f"CC-{'-'.join(terms).upper()}-{version[0] or version[1] or 4}.{version[2] or 0}"


def _general_public(letter: str | None, major: str | None, minor: str | None, later: str | None) -> str:
    number = major or ("3" if letter else "2")
    lesser = (letter, number) == ("l", "2")
    if minor == "1" and not lesser:
        return ""
    minor = "1" if lesser else "0"
    ending = "or-later" if not major or (later and later != "only") else "only"
    return f"{(letter or '').upper()}GPL-{number}.{minor}-{ending}"


def _plain(text: str) -> str:
    """One of the licences without a family, by its name without dashes, or without its version."""
    names = {_squashed(name): name for name in (*_OTHERS, "CC0-1.0", "OFL-1.1", "MIT")}
    short = {re.sub(r"[0-9]+$", "", key): name for key, name in names.items()} | {"cc0": "CC0-1.0"}
    known = {key.removesuffix("0"): name for key, name in names.items()} | short | names
    return known.get(text, "")


def _squashed(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
