"""Pictures on their way into a pack, on disk: which channels they need is known only when the last has come."""

from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np

from core.images import Images, with_channels


class Spool:
    """RGBA pictures ``(height, width, 4)`` in a temporary file, and what was seen in them."""

    def __init__(self, file: IO[bytes], height: int, width: int) -> None:
        self._file = file
        self._shape = (height, width, 4)
        self._opaque: list[bool] = []
        self.empty: list[bool] = []  # of each, whether nothing was in it before it was fitted
        self._coloured = False

    def __len__(self) -> int:
        return len(self._opaque)

    def add(self, picture: Images, opaque: bool, empty: bool = False) -> None:
        """Append a picture. Of an opaque one only the margins are transparent, with a colour to fall back on."""
        self._file.write(np.ascontiguousarray(picture).data)
        self._coloured = self._coloured or bool((picture[..., :2] != picture[..., 1:3]).any())
        self._opaque.append(opaque or bool((picture[..., 3] == 255).all()))
        self.empty.append(empty)

    @property
    def channels(self) -> int:
        """The fewest that lose nothing: 4 if anything is transparent, 1 if everything is grey, otherwise 3."""
        if not all(self._opaque):
            return 4
        return 3 if self._coloured else 1

    def pictures(self, channels: int, rows: Sequence[int] | None = None) -> Iterator[Images]:
        """The pictures of these rows, or all, in their order: uint8 ``(height, width, channels)``; without alpha they
        lie on white."""
        size = int(np.prod(self._shape))
        for row in range(len(self)) if rows is None else rows:
            self._file.seek(row * size)
            data = self._file.read(size)
            yield with_channels(np.frombuffer(data, np.uint8).reshape(self._shape), self._opaque[row], channels)
