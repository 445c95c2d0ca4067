"""Seeds as ranges, so that millions of them cost no memory: put in order, written down, cut into shares."""

from collections.abc import Iterable, Sequence

from core.errors import RequestRefused

Ranges = Sequence[range]


def ascending(ranges: Iterable[range]) -> list[range]:
    """The same seeds from the lowest to the highest, in as few ranges as can be.

    Raises RequestRefused if a seed is in two of them.
    """
    joined: list[range] = []
    for each in sorted(ranges, key=lambda each: each.start):
        if joined and each.start < joined[-1].stop:
            raise RequestRefused(f"the seed {each.start} is given twice: in shards every seed is there once")
        if joined and each.start == joined[-1].stop:
            joined[-1] = range(joined[-1].start, each.stop)
        else:
            joined.append(each)
    return joined


def count(ranges: Ranges) -> int:
    """How many seeds there are."""
    return sum(map(len, ranges))


def share(ranges: Ranges, index: int, shares: int) -> list[range]:
    """The seeds of share ``index``, from 0, of ``shares`` that differ in size by one at most, in the order given."""
    total = count(ranges)
    first, last = total * index // shares, total * (index + 1) // shares
    found = []
    for each in ranges:
        found.append(each[max(first, 0) : max(last, 0)])
        first, last = first - len(each), last - len(each)
    return [each for each in found if each]


def written(ranges: Ranges) -> str:
    """The ranges as ``core.latents.parse_ranges`` reads them: ``"0-3,9"``."""
    return ",".join(f"{each[0]}-{each[-1]}" if len(each) > 1 else f"{each[0]}" for each in ranges)
