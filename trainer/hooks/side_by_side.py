"""What a translator makes of a few pictures, beside these: source | result | target in a row, or there and back."""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import NamedTuple

from core.images import Images, over_checkerboard
from core.networks.base import Maker
from core.seed_sheets import fitted
from core.sheets import Sheet
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics.features import maker
from trainer.metrics.held import domains_of, has_pairs, pairs_of
from trainer.metrics.translation import translated

TARGET, HOME = ("source", "result", "target"), ("source", "result", "and back")
ACROSS = len(TARGET)  # pictures for each source
FIRST = 8  # sources of a strip
SHOWN = {
    "held": "held out",
    "validation": "held out to choose the best generator by",
    "train": "trained on, as the pack holds none out",
}


class Sides(NamedTuple):
    """``sources`` ``(n, H, W, C)``, what they are to become if somebody knows, and the part of the pack they are of."""

    sources: Images
    targets: Images | None
    part: str


class SideBySide:
    """Pictures of ``pack`` for the translators of a run, ``count`` together at most: the same held-out ones every time.

    Of a side of which the pack holds nothing out, they are such as it is trained on.
    """

    def __init__(self, pack: Pack, count: int) -> None:
        self.pack, self.count = pack, count
        self._sides: dict[str, Sides] = {}

    def sheet(self, makers: Mapping[str, Maker]) -> Sheet:
        """What ``makers`` make of them now, several sources beside each other; of two, both directions."""
        cells: list[Images] = []
        heads = TARGET
        first = next(iter(makers.values()))

        # Source, result, and the target; where nobody knows that, what the other translator makes of the result
        for name, generator in makers.items():
            if name not in self._sides:
                self._sides[name] = self._taken(generator.spec, max(self.count // len(makers), 1))
            sources, wanted, _ = self._sides[name]
            results = translated(maker(generator), sources)
            if wanted is None:
                heads, other = HOME, next(each for each in makers if each != name)
                wanted = translated(maker(makers[other]), results)
            rows = zip(sources, results, wanted, strict=True)
            cells += [fitted(picture, first.spec.height, first.spec.width) for row in rows for picture in row]

        # Several sources in a row, so that the page is about square; no row is left unfinished
        across = ceil(sqrt(len(cells)) / ACROSS)
        whole = len(cells) // (across * ACROSS) * across * ACROSS
        return Sheet(cells[:whole], columns=[*heads] * across, title=[self._said()])

    def _said(self) -> str:
        """Of which part the pictures are; of two directions, those of each where they differ."""
        parts = {name: f"pictures {SHOWN[sides.part]}" for name, sides in self._sides.items()}
        if len({*parts.values()}) == 1:
            return next(iter(parts.values()))
        return "; ".join(f"{name}: {said}" for name, said in parts.items())

    def _taken(self, spec: GeneratorSpec, count: int) -> Sides:
        takes, _ = domains_of(self.pack, spec)
        part = takes.best_part()
        if has_pairs(self.pack, spec):
            return Sides(*pairs_of(self.pack, spec, part, count).all(), part)
        return Sides(takes.gather(takes.rows(part, count)), None, part)


def strip(pages: Sequence[Sequence[Images]], moments: Sequence[str], last: str) -> Sheet:
    """The first sources of previews, each page the pictures of one of ``moments``: sources above, then their results
    over time, and at the end what is called ``last``."""
    shown = min(FIRST, *(len(page) // ACROSS for page in pages))
    rows = [pages[-1][0::ACROSS], *(page[1::ACROSS] for page in pages), pages[-1][2::ACROSS]]
    cells = [over_checkerboard(cell, 2) for row in rows for cell in row[:shown]]
    return Sheet(cells, columns=[*map(str, range(1, shown + 1))], rows=[TARGET[0], *moments, last])
