"""What an artist would want to know of an import before training on it: a line for each thing, with what to do."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import SpecError
from core.fitting import scales
from core.sizes import Size, nearest_sizes, parse_sides, parse_size, sizes_around
from trainer.data.grid import Pair

FEW = 200  # images: below, a generator repeats them rather than making new ones
STRIP = 3  # times as long as wide, and hardly one thing
SMALLER = 4  # times: what is drawn in lines of a pixel is gone by then
_DIFFER = 3  # times as large, but for the largest and the smallest twentieth
_TRAINED = 128  # pixels of the longer side: beyond, nobody is told to train at a size because the images have it


class Met(NamedTuple):
    """A picture of an import: its name, (width, height) before it was fitted, how it was resampled, what it lost."""

    name: str
    sides: Pair
    resample: str = "lanczos"
    opaque: bool = True
    cut: bool = False  # something that is drawn lies beyond what ``--fit keep`` keeps

    def __str__(self) -> str:
        return f"{self.name}, {self.sides[0]}x{self.sides[1]}"


class Way(NamedTuple):
    """How pictures became what they are, as ``ImportOptions`` has it; ``cells`` of sheets or pictures of their own;
    ``paired`` if each is one of a pair."""

    size: Size
    fit: str = "pad"
    cells: bool = False
    paired: bool = False

    @property
    def sides(self) -> Pair:
        """Width and height."""
        return self.size.width, self.size.height


def cautions(met: Sequence[Met], way: Way, channels: int) -> list[str]:
    """A line for each thing that speaks against training on these pictures as they are."""
    long, single = _long(met, way)
    own, others = _own_size(met, single, way)
    found = [_few(met, way), _strips(met, long, way), own, _reduced(met, others, way), _enlarged(met, others, way)]
    found += [_differing(single, way), _cut_off(met), _mixed(met) if channels == 4 else ""]
    return [line for line in found if line]


def alike(met: Sequence[Met], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The line on pictures that look nearly like an earlier one, if any do; ``pairs`` names both."""
    if not pairs:
        return []
    example = "{} and {}".format(*pairs[0])
    listed = f"such as {example}; all are listed in dataset.json" if len(pairs) > 1 else example
    some = f"{_count(pairs, met, 'looks', 'look')} nearly like an earlier one ({listed})"
    things = len(met) - len(pairs)
    left = f", which leaves about {things:,} different thing{'s' * (things > 1)}" if len(pairs) > things else ""
    mend = "frames and variants are kept but teach little; for new things rather than new poses, keep one of each"
    return [f"{some}{left}: {mend}"]


def size_of(text: str, flag: str = "--size") -> Size:
    """``--size`` of an import, or another ``flag``. Raises SpecError, which says how images of a size that no network
    makes are kept."""
    try:
        return parse_size(text)
    except SpecError as error:
        height, width = parse_sides(text)
        if min(height, width) > 0 and max(height, width) <= _TRAINED:
            kept = f"images of {width}x{height} keep every pixel with {_ways((width, height))}".replace("--size", flag)
            raise SpecError(f"{error}; {kept}") from None
        raise


def _few(met: Sequence[Met], way: Way) -> str:
    if len(met) >= FEW:
        return ""
    if way.paired:
        have = "1 pair is" if len(met) == 1 else f"{len(met):,} pairs are"
        return f"{have} few: below {FEW} a translator learns them by heart and fails on other sources; add more"

    # Alone it may be a sheet that was not cut
    have = "1 image is" if len(met) == 1 else f"{len(met):,} images are"
    sheet = len(met) == 1 and not way.cells and max(_scales(met[0], way)) <= 1 / 2
    cells = way.size if _divides(way, met[0].sides) else "WIDTHxHEIGHT"
    cut = f", or cut it with --grid {cells} if it is a sheet" if sheet else ""
    return (
        f"{have} few: below {FEW} a generator repeats what it saw rather than making new things; add more of "
        f"their kind{cut}, and let 'evaluate' look for copies"
    )


def _long(met: Sequence[Met], way: Way) -> tuple[list[Met], list[Met]]:
    """The pictures so long that they are hardly of one thing, and the others; cells and long packs are meant to be."""
    if way.cells or max(way.sides) > STRIP * min(way.sides):
        return [], list(met)
    is_long = [max(one.sides) > STRIP * min(one.sides) for one in met]
    long, single = ([one for one, each in zip(met, is_long, strict=True) if each == wanted] for wanted in (True, False))
    return long, single


def _strips(met: Sequence[Met], long: Sequence[Met], way: Way) -> str:
    if not long:
        return ""
    first = next((one for one in long if _cell_of(one.sides, way)), long[0])
    cell = _cell_of(first.sides, way)
    cuts = f"--grid {cell[0]}x{cell[1]} cuts {first.name}" if cell else "--grid WIDTHxHEIGHT cuts them"
    some = f"{_count(long, met)} more than {STRIP} times as long as wide{_such([first, *long[1:]])}"
    return f"{some}, as sheets and strips of an animation are: imported by themselves, {cuts} into cells"


def _cell_of(strip: Pair, way: Way) -> Pair | None:
    """The cells of a strip: of the size that is asked for, or else nearest to squares, if such divide it."""
    if _divides(way, strip):
        return way.sides
    count = round(max(strip) / min(strip))
    if max(strip) % count:
        return None
    return (strip[0] // count, strip[1]) if strip[0] > strip[1] else (strip[0], strip[1] // count)


def _divides(way: Way, sheet: Pair) -> bool:
    """Whether cells of the size that is asked for make up a sheet."""
    return sheet[0] % way.sides[0] == sheet[1] % way.sides[1] == 0


def _own_size(met: Sequence[Met], single: Sequence[Met], way: Way) -> tuple[str, list[Met]]:
    """On the size that most pictures have, if they could keep their pixels and do not; and the pictures not meant."""
    sides = Counter(one.sides for one in single or met).most_common(1)[0][0]
    theirs = [one for one in single if one.sides == sides]
    factors = {factor for one in theirs if not _repeats(one, way) for factor in _scales(one, way)}
    close = factors - {1.0} and all(1 / SMALLER <= factor < 2 for factor in factors)
    if not close or 2 * len(theirs) < len(met) or max(sides) > _TRAINED:
        return "", list(single)
    some = f"{_count(theirs, met)} {sides[0]}x{sides[1]} and resampled for {way.size}, which softens every pixel"
    return f"{some}: {_ways(sides)} keeps them as they are", [one for one in single if one.sides != sides]


def _ways(sides: Pair) -> str:
    """The options under which pictures keep every pixel: at their own size, with a margin, or their middle."""
    holds, inside = sizes_around(sides[1], sides[0])
    if holds is not None and holds == inside:
        return f"--size {holds}"

    ways = []
    if holds is not None:
        ways.append(
            f"--size {holds} --fit keep (a margin of {_edges(holds.width - sides[0], holds.height - sides[1])})"
        )
    if inside is not None:
        cut = _edges(sides[0] - inside.width, sides[1] - inside.height)
        ways.append(f"--size {inside} --fit keep (without {cut})")
    return " or ".join(ways)


def _edges(width: int, height: int) -> str:
    """So many pixels more or less, in words: half of them at each edge."""
    beside, above = (f"{one // 2}" if one % 2 == 0 else f"{one // 2} to {one // 2 + 1}" for one in (width, height))
    if width == height:
        return f"{beside} pixel{'s' * (beside != '1')} at every edge"
    said = [f"{beside} left and right"] * bool(width) + [f"{above} above and below"] * bool(height)
    return f"{' and '.join(said)}, in pixels"


def _reduced(met: Sequence[Met], others: Sequence[Met], way: Way) -> str:
    small = [one for one in others if min(_scales(one, way)) < 1 / SMALLER]
    if not small:
        return ""
    first = max(small, key=lambda one: max(one.sides))
    holds = sizes_around(-(-first.sides[1] // SMALLER), -(-first.sides[0] // SMALLER))[0]
    larger = f"take --size {holds}, or " if holds is not None and max(holds.width, holds.height) <= _TRAINED else ""
    return (
        f"{_count(small, met)} reduced more than {SMALLER} times (up to {first}), and fine lines are lost: "
        f"{larger}cut closer around what is shown, or a sheet into cells with --grid"
    )


def _enlarged(met: Sequence[Met], others: Sequence[Met], way: Way) -> str:
    large = [one for one in others if max(_scales(one, way)) > 1]
    if not large:
        return ""
    large.sort(key=lambda one: max(one.sides))
    middle = [sorted(one.sides[axis] for one in met)[len(met) // 2] for axis in (0, 1)]
    height, width = nearest_sizes(middle[1], middle[0])[0]
    suits = f"--size {width}x{height} suits most, " if 2 * width * height <= way.size.width * way.size.height else ""
    some = f"{_count(large, met)} enlarged{_such(large)}, which costs time and adds nothing to learn"
    return f"{some}: {suits}--fit keep leaves each at its own size"


def _differing(met: Sequence[Met], way: Way) -> str:
    """On sizes that tell what is large and what is small, and are lost where all fill the picture."""
    if not met:
        return ""
    ordered = sorted(met, key=lambda one: max(one.sides))
    small, large = ordered[len(met) // 20], ordered[-1 - len(met) // 20]
    if way.fit == "keep" or max(large.sides) < _DIFFER * max(small.sides):
        return ""
    holds = sizes_around(large.sides[1], large.sides[0])[0]
    mend = "import large and small ones apart"
    if holds is not None and max(holds.width, holds.height) <= _TRAINED:
        mend = f"--size {holds} --fit keep leaves nearly all as large as they are to one another, or {mend}"
    return f"sizes differ much (such as {small} and {large}), and all are made equally large: {mend}"


def _cut_off(met: Sequence[Met]) -> str:
    cut = [one for one in met if one.cut]
    if not cut:
        return ""
    width, height = (max(one.sides[axis] for one in cut) for axis in (0, 1))
    holds = sizes_around(height, width)[0]
    larger = f"--size {holds} holds them whole" if holds is not None else "--fit pad shows them whole"
    return f"{_count(cut, met)} cut off at the edges by --fit keep{_such(cut)}: {larger}"


def _mixed(met: Sequence[Met]) -> str:
    """On opaque pictures among transparent ones: what is behind the thing is learned as a part of it."""
    opaque, clear = ([one for one in met if one.opaque == wanted] for wanted in (True, False))
    if not opaque or not clear:
        return ""
    if len(opaque) > len(clear):
        some = f"{_count(clear, met, 'has', 'have')} transparency{_such(clear)} and the others none"
        return f"{some}: --channels 3 lays all on white; or erase the background of the others"
    some = f"{_count(opaque, met, 'has', 'have')} no transparency{_such(opaque)}, unlike the others"
    return f"{some}: a background is learned as a part of the thing; erase it, or import such images by themselves"


def _scales(one: Met, way: Way) -> tuple[float, float]:
    return scales(one.sides, way.size, way.fit, one.resample)


def _repeats(one: Met, way: Way) -> bool:
    """Whether every pixel becomes a block of pixels."""
    return one.resample == "nearest" and all(factor == int(factor) for factor in _scales(one, way))


def _count(some: Sequence[object], of: Sequence[object], one: str = "is", many: str = "are") -> str:
    """A part of the images with its verb: all, so many of so many, or the only one."""
    if len(of) == 1:
        return f"the image {one}"
    if len(some) == len(of):
        return f"all {len(of):,} images {many}"
    return f"{len(some):,} of {len(of):,} images {one if len(some) == 1 else many}"


def _such(some: Sequence[Met]) -> str:
    """An example, in brackets."""
    return f" ({'such as ' if len(some) > 1 else ''}{some[0]})"
