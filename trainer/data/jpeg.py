"""Whether a JPEG file's compressed data is whole. Decoders fill what is damaged with grey and say nothing.

A decoder is asked, not imitated. Data that ran out early makes it go on into bytes added at the end, which it ignores
behind data that is whole; data that went on too long makes it ignore changed bytes at the end, which it would show
otherwise. (ITU-T T.81, annex B, has the markers.)
"""

import io
from collections.abc import Iterator

from PIL import Image

_MARKER = 0xFF
_SOI, _EOI, _SOS, _FIRST_RESTART, _LAST_RESTART = 0xD8, 0xD9, 0xDA, 0xD0, 0xD7
# What may follow the data of a scan: tables, comments, lines, the next scan, the end.
_AFTER_DATA = frozenset({0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, _EOI, *range(0xE0, 0xF0)})
_MORE = bytes.fromhex("5ac3a53c96699aa5") * 24  # of no meaning; it holds no marker
_LAST = 8  # bytes at the end of the data
_OTHERS = (0x5A, 0xA5, 0x00, 0x33, 0xCC, 0x81, 0x7E)  # in their place: some of them may look the same, white on white


def is_whole(data: bytes) -> bool:
    """Whether every scan of the JPEG file ``data`` ends where its header says. True where there is no scan."""
    try:
        parts = list(_scans(data))
    except ValueError:
        return False
    if not parts:
        return True
    seen = _pixels(data)
    if _pixels(_spliced(data, [(end, end, _MORE) for _, end in parts])) != seen:
        return False
    start, end = parts[-1]
    if len(parts) > 1 or end - start < 4 * _LAST or set(data[end - _LAST : end]) <= {0x00, 0xFF}:
        return True  # of a progressive file the last scan may refine what nobody sees; others end in padding
    changed = (_spliced(data, [(end - _LAST, end, bytes([byte] * _LAST))]) for byte in _OTHERS)
    return any(_pixels(other) != seen for other in changed)


def _scans(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each stretch of compressed data begins and ends. Raises ValueError for a marker that cannot be there."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != _MARKER:
            raise ValueError("no marker")
        kind = data[place + 1]
        if kind in (_MARKER, 0x01) or kind == _EOI:
            if kind == _EOI:
                return
            place += 1 if kind == _MARKER else 2
            continue
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if kind == _SOS:
            for start, end in _stretches(data, place):
                yield start, end
                place = end


def _stretches(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """The stretches of a scan between its restart markers, which count from 0 to 7 over and over."""
    restarts = 0
    place = start
    while (place := data.find(b"\xff", place)) != -1 and place + 1 < len(data):
        kind = data[place + 1]
        if kind in (0x00, _MARKER):
            place += 2 if kind == 0x00 else 1
        elif _FIRST_RESTART <= kind <= _LAST_RESTART:
            if kind - _FIRST_RESTART != restarts % 8:
                raise ValueError("restart out of turn")
            yield start, place
            restarts, start, place = restarts + 1, place + 2, place + 2
        elif kind in _AFTER_DATA:
            yield start, place
            return
        else:
            raise ValueError("marker inside data")


def _spliced(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """``data`` with each (start, end, bytes) put in, which come in order."""
    parts, done = [], 0
    for start, end, put in changes:
        parts += [data[done:start], put]
        done = end
    return b"".join([*parts, data[done:]])


def _pixels(data: bytes) -> bytes | None:
    """The pixels, None if there are none to be had."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return image.tobytes()
    except (OSError, SyntaxError, ValueError):
        return None
