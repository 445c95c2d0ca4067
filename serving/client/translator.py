"""``Translator``: pictures to pictures, through a served model over gRPC or straight from a bundle."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from core.contract import SOURCE
from core.images import Images
from serving.client.fitted import Fitted, Plan, as_pillow
from serving.client.session import Session, chunked
from serving.client.tiling import Tiled, check_overlap, whole_factors


class Translator(Session):
    """Pictures to pictures; what else it takes, and raises, is that of a ``Session``."""

    kind = "image"

    def translate(
        self,
        pictures: Iterable[Images | Image.Image],
        *,
        tile: bool = False,
        overlap: int | None = None,
        margins: bool = False,
    ) -> Iterator[Images]:
        """The translation of each picture, uint8 ``(height, width, channels)``, straight alpha, in their order.

        Pictures are arrays uint8 ``(h, w, 1, 3 or 4)``, straight alpha, or Pillow's, of any size: each is fitted as the
        translator's pack was, and of the result comes the part that is the picture's, or with ``margins`` all of it.
        With ``tile`` none is resized: larger ones are cut into tiles that overlap by ``overlap`` pixels, a quarter of
        a tile unless given, and smaller ones reflected at their edges. Any number of pictures in bounded memory;
        several are asked for at once, so results come later than the pictures they are of. Raises RequestRefused for
        anything that is not a picture, or cannot be tiled.
        """
        if tile:
            whole_factors(self.spec)
            if overlap is not None:
                check_overlap(overlap, self.spec)
        plans: deque[Plan] = deque()

        def sources() -> Iterator[Images]:
            for picture in pictures:
                plan = self._plan(as_pillow(picture), tile, overlap, margins)
                plans.append(plan)
                yield from plan.sources()

        requests = ({SOURCE: np.stack(rows)} for rows in chunked(sources(), self.batch))
        return _made(plans, self._stream(requests, self.model))

    def _plan(self, picture: Image.Image, tile: bool, overlap: int | None, margins: bool) -> Plan:
        return Tiled(picture, self.spec, overlap) if tile else Fitted(picture, self.spec, margins)


def _made(plans: deque[Plan], results: Iterator[Images]) -> Iterator[Images]:
    """The result of each plan, of its share of ``results``; a plan is there once the first of these is."""
    for first in results:
        yield plans.popleft().made_of(itertools.chain([first], results))
