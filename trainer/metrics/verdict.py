"""What the figures of a generator mean in words, and what to do next: for those who are to decide whether it is good.

The grades are brackets of the pack's own scale (trainer/metrics/scale.py), not numbers of ours. What is said of each
is what was seen on the sheets of runs in it (benchmarks/RESULTS.md). Of OpenMoji at 32x32, half the size has a
KID-lite0 of 0.048, a quarter 0.148, noise 0.53: the best presets end at 0.075 ("outlines and flat colours, some faces
and signs one could name"), 0.17 to 0.24 were runs of a few minutes, and from 0.28 on there were grids and empty images.
Of MNIST's digits half the size has 0.076 and a quarter 0.25: nearly every preset ends below the first with digits that
one can read, and wgan, many of whose samples are no digits, at 0.088.
"""

from dataclasses import dataclass, field

from trainer.metrics.memorisation import Memorisation
from trainer.metrics.scale import Scale

SURE = 3.0  # standard deviations of KID between halves of the real images
COPIES = 0.05  # of the samples: of images none of which is a copy, about 1 % are nearer than the threshold
FEW = 200  # distinct images: of fewer, one in a hundred is no more than the nearest pair of all
TWINS = 0.2  # of the median distance: that 1 % are nearer than this takes pairs, whatever the spread (see below)

WORDS = {
    "real": "as good as the real images: this measure cannot tell them apart",
    "fine": "good: nearer to the real images than these are to themselves at half their size",
    "usable": "usable: colours and silhouettes are right, many pictures are muddled, and some show one clear thing",
    "rough": "rough: colours and outlines are there, hardly a picture that shows something",
    "nothing": "nothing to use: nearer to noise than to the real images",
}
GOOD = ("real", "fine", "usable")


@dataclass(frozen=True)
class Step:
    """What to do next, why, and the command that does it, if one does."""

    what: str
    command: str = ""


@dataclass(frozen=True)
class Verdict:
    """A grade, the same in words, what else stands out, and what to do next, the likeliest first."""

    grade: str
    words: str
    remarks: tuple[str, ...] = ()
    steps: tuple[Step, ...] = field(default=())


UNJUDGED = Verdict("", "")


def grade(kid: float, floor: float, scale: Scale) -> str:
    """The bracket of the scale that ``kid`` lies in; ``floor`` is what chance alone makes of real images."""
    limits = {"real": floor, "fine": scale.half, "usable": scale.quarter, "rough": (scale.quarter + scale.noise) / 2}
    return next((name for name, most in limits.items() if kid <= most), "nothing")


def blind_spot(copies: Memorisation, distinct: int) -> str:
    """Why the share of copies says little of this pack, in words; empty if it does.

    In ``d`` dimensions the distance to a nearest neighbour that 1 % of points are within is (0.01 / 0.69)^(1/d) of the
    median one: 0.24 for 3, 0.59 for 8, and features have more. A smaller one comes of images that are there in pairs.
    """
    if distinct < FEW:
        return f"of {distinct} distinct images one in a hundred is no measure: look at the picture for copies"
    if copies.between[1] < TWINS * copies.between[50]:
        return (
            "the pack holds near twins, so only what is nearer to an image than a twin would count as a copy: look at "
            "the picture for copies"
        )
    return ""


def remarks(precision: float, recall: float, suspicious: float, blind: str) -> tuple[str, ...]:
    """What else the figures say, one thing each."""
    said = [f"it makes few kinds: of the real images {recall:.1%} have one of its pictures near them"]
    found = said if recall < precision / 2 else []
    if precision < recall / 2:
        found = [f"many pictures are broken: {precision:.0%} lie among the real images"]
    if suspicious > COPIES:
        found.append(f"{suspicious:.0%} of its pictures are copies of real images, or nearly")
    if blind:
        found.append(blind)
    return tuple(found)


def in_lines(verdict: Verdict, kid: float, ground: float, scale: Scale) -> list[str]:
    """The verdict for a person: ``kid`` among the figures of the scale, the words, and what to do next and how."""
    marks = {
        "two halves of the real images, the best there can be": ground,
        "real images at half their size": scale.half,
        "real images at a quarter of their size": scale.quarter,
        "nothing but noise": scale.noise,
        "these pictures": kid,
    }
    lines = ["the scale, less is better:"]
    for name, value in sorted(marks.items(), key=lambda mark: mark[1]):
        lines.append(f"  {round(value, 4) + 0.0:8.4f}  {'→ ' if name == 'these pictures' else '  '}{name}")
    return lines + words_of(verdict)


def words_of(verdict: Verdict) -> list[str]:
    """What was found, and what to do next and how."""
    lines = [f"verdict: {verdict.words}", *(f"  {remark}" for remark in verdict.remarks)]
    for step in verdict.steps:
        lines += [f"next: {step.what}", *([f"  {step.command}"] if step.command else [])]
    return lines
