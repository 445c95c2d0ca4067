"""What an artist would want to know of pairs, of two domains and of what is held out, before training on them."""

from collections.abc import Sequence

from core.fitting import scales
from trainer.data.cautions import Met, Way, cautions
from trainer.data.choosing import Looks
from trainer.data.info import PARTS
from trainer.data.pack import Parts

Names = tuple[str, str]

_OFF = 1.5  # pixels that a pair may lie apart from one another: rounding is less
_WORDS = {"--size": "--source-size", "--channels": "--source-channels", "--grid": "--source-grid", "image": "source"}
_TRAIN, _HELD = PARTS.index("train"), PARTS.index("held")
_LESS = 0.15  # of all that may be left out of training because groups are large


def of_sources(met: Sequence[Met], way: Way, channels: int, said: Sequence[str]) -> list[str]:
    """What speaks against the sources as they are, but for what is ``said`` of the images already."""
    lines = [line for line in cautions(met, way, channels) if line not in said]
    for word, own in _WORDS.items():
        lines = [line.replace(word, own) for line in lines]
    return [f"of the sources: {line}" for line in lines]


def of_pairs(images: Sequence[Met], sources: Sequence[Met], ways: tuple[Way, Way], looks: Sequence[Looks]) -> list[str]:
    """A line for each thing that speaks against these pairs; ``looks`` tells equal pictures, of image and source."""
    return [
        line
        for line in (
            _apart(images, sources, ways),
            _same(images, looks),
            torn([source.name for source in sources], looks),
        )
        if line
    ]


def of_parts(names: Sequence[str], parts: Parts | None, share: float, alike: Sequence[tuple[int, int]]) -> list[str]:
    """A line on what is held out, if it does not tell anything; ``alike`` are rows that look nearly the same."""
    if not share:
        return []
    if parts is None or not (parts == _HELD).any():
        return [
            "nothing is held out, as there are too few different names to do so: nothing will say how good the result "
            "is on pictures that were not trained on; add more, or see --held and --group-by"
        ]

    # Too much is held out
    lines, left = [], float((parts == _TRAIN).mean())
    if left < 1 - 1.5 * share - _LESS:
        lines.append(
            f"{left:.0%} are left to train on, as the names are of so few groups that each is a large part of all: "
            "see --group-by and --held"
        )
    return lines + _crossing(names, parts, alike)


def _crossing(names: Sequence[str], parts: Parts, alike: Sequence[tuple[int, int]]) -> list[str]:
    """On pictures held out that look nearly like one that is trained on."""
    crossing = [(row, other) for row, other in alike if (parts[row] == _HELD) != (parts[other] == _HELD)]
    if not crossing:
        return []

    # How many, and one of them
    held = len({row if parts[row] == _HELD else other for row, other in crossing})
    first = max(crossing[0], key=lambda row: parts[row])
    second = crossing[0][0] + crossing[0][1] - first
    some = (
        f"{held:,} of {int((parts == _HELD).sum()):,} pictures held out {'looks' if held == 1 else 'look'} nearly like"
    )
    return [
        f"{some} one that is not (such as {names[first]} and {names[second]}), so what is measured on them flatters: "
        "--group-by keeps variants of one name on one side"
    ]


def _apart(images: Sequence[Met], sources: Sequence[Met], ways: tuple[Way, Way]) -> str:
    """On pairs that fill their pages differently, so that a source's lines are not where they are in its image."""
    off = [
        (image, source)
        for image, source in zip(images, sources, strict=True)
        if any(
            abs(one - other) > _OFF
            for one, other in zip(_filled(image, ways), _filled(source, ways[::-1]), strict=True)
        )
    ]
    if not off:
        return ""

    # How many, and one of them
    image, source = off[0]
    return (
        f"{len(off):,} of {len(images):,} pairs {'does' if len(off) == 1 else 'do'} not lie on one another once fitted "
        f"(such as {image}, and its source of {source.sides[0]}x{source.sides[1]}): what should become what is not in "
        "its place; make both of a pair of one shape, and mind --fit and --resample"
    )


def _filled(one: Met, ways: tuple[Way, Way]) -> tuple[float, float]:
    """How much of its page a picture fills, across and down, in pixels of the larger of the two pages of a pair."""
    way, other = ways
    found = zip(scales(one.sides, way.size, way.fit, one.resample), one.sides, way.sides, other.sides, strict=True)
    across, down = (scale * side / page * max(page, beside) for scale, side, page, beside in found)
    return (float(way.sides[0]), float(way.sides[1])) if way.fit == "stretch" else (across, down)


def _same(images: Sequence[Met], looks: Sequence[Looks]) -> str:
    same = [met for met, (image, source) in zip(images, looks, strict=True) if image == source]
    if not same:
        return ""
    some = f"all {len(images):,} sources look" if len(same) == len(images) else f"{len(same):,} sources look"
    return f"{some} exactly like their images (such as {same[0].name}): nothing is to be learned from these"


def torn(names: Sequence[str], looks: Sequence[Looks]) -> str:
    """On sources that are the same, and what should be made of them is not."""
    first: dict[bytes, int] = {}
    found = [(row, first[look[1]]) for row, look in enumerate(looks) if first.setdefault(look[1], row) != row]
    if not found:
        return ""
    example = f"{names[found[0][0]]} and {names[found[0][1]]}"
    return (
        f"{len(found):,} of {len(names):,} sources look{'s' * (len(found) == 1)} exactly like an earlier one "
        f"and should become something else (such as {example}): a translator makes one picture of each source, "
        "so a mixture of these; keep one of each"
    )
