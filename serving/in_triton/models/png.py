"""PNG files (ISO/IEC 15948:2004) as arrays and back, with NumPy and zlib alone: what the doors in Triton speak.

Written are the plainest of files. Read are those that pictures are exchanged in, 8 bits a sample and not interlaced,
from people whom nobody knows: a file is refused by its size before anything of it is unpacked, and unpacks to no more
than that size has pixels.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (h, w, c), straight alpha

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR = {1: 0, 3: 2, 4: 6}  # PNG's numbers for grey, RGB and RGBA, by channels (table 11.1)
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}  # a pixel, which are as many bytes
LEVEL = 6  # of zlib: its own default
ROOM = 1 << 16  # bytes of a file beside its pixels: profiles, texts. Triton needs shared memory for all of them
MOST_CHUNKS = 10_000  # looking at each takes time; the usual 8 KiB make 2,000 of the largest picture
_SUB, _UP, _AVERAGE, _PAETH = 1, 2, 3, 4  # filters (table 9.1)
_LUMA = np.array([19_595, 38_470, 7_471], np.uint32)  # ITU-R BT.601 in 16-bit fixed point, as packs are made grey


class Wrong(Exception):
    """A request that is wrong fails alone."""


class Header(NamedTuple):
    """What IHDR says (section 11.2.2)."""

    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filtering: int
    interlace: int


def write_png(image: Pixels, texts: Mapping[str, str]) -> bytes:
    """The PNG file of an array ``(h, w, c)`` of 1, 3 or 4 channels (sections 5, 9 and 10).

    ``texts`` become iTXt chunks (section 11.3.4.5): neither compressed nor of a language, and not translated.
    """
    height, width, channels = image.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter: 0, none
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR[channels], 0, 0, 0)
    said = [
        (b"iTXt", key.encode("latin-1") + bytes(5) + text.encode("utf-8", "replace")) for key, text in texts.items()
    ]
    chunks = ((b"IHDR", header), *said, (b"IDAT", zlib.compress(rows.tobytes(), LEVEL)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def most_bytes(height: int, width: int) -> int:
    """How large a file of a picture of that size may be.

    The plainest code makes 9 bits of 8 (RFC 1951, section 3.2.6), and chunks of a hundred bytes are 12 bytes longer.
    """
    return ROOM + height * (1 + 4 * width) * 5 // 4


def most_text(height: int, width: int) -> int:
    """How long the same may be as text: base64 makes four characters of three bytes (RFC 4648, section 4)."""
    return -(-most_bytes(height, width) // 3) * 4


def read_png(data: bytes, height: int, width: int, channels: int) -> Pixels:
    """The picture in a PNG file, uint8 ``(height, width, channels)``, straight alpha; without alpha it lies on white.

    Raises Wrong, in words for whoever sent it, for any other size, a file that is damaged or goes on behind its end,
    and kinds that are not read: interlaced, or with other than 8 bits a sample.
    """
    if len(data) > most_bytes(height, width):
        raise Wrong(
            f"a file of {len(data)} bytes is more than a picture of {width}x{height} pixels needs: save it "
            "without profiles and texts"
        )
    chunks = _chunks(data)
    header = _header(chunks)
    if (header.width, header.height) != (width, height):
        raise Wrong(f"the picture is {header.width}x{header.height} pixels, and must be {width}x{height}")
    _check_kind(header)
    palette, clear, packed = _body(chunks, header)
    samples = _unfiltered(_unpacked(packed, header), SAMPLES[header.colour])
    return _with_channels(*_straight(samples, header.colour, palette, clear), channels)


def _chunk(name: bytes, data: bytes) -> bytes:
    """One chunk: its length, name, data and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and data of each chunk up to IEND, checksums looked at (section 5.3). Raises Wrong."""
    if data[: len(SIGNATURE)] != SIGNATURE:
        raise Wrong("it is not a PNG file")
    at = len(SIGNATURE)
    for _ in range(MOST_CHUNKS):
        if at + 12 > len(data):
            raise Wrong("the PNG file is cut short")
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data):
            raise Wrong("the PNG file is cut short")
        name = data[at + 4 : at + 8]
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise Wrong("the PNG file is damaged: a checksum is wrong")
        yield name, data[at + 8 : end - 4]
        at = end
        if name == b"IEND":
            break
    else:
        raise Wrong(f"the PNG file has more than {MOST_CHUNKS} parts: save it anew")
    if at != len(data):
        raise Wrong("something follows the end of the PNG file")


def _header(chunks: Iterator[tuple[bytes, bytes]]) -> Header:
    name, data = next(chunks)
    if name != b"IHDR" or len(data) != 13:
        raise Wrong("the PNG file does not begin with a header")
    return Header(*struct.unpack(">IIBBBBB", data))


def _check_kind(header: Header) -> None:
    """Raise Wrong for kinds of PNG that are not read, or that there are not."""
    if header.colour not in SAMPLES or header.compression or header.filtering or header.interlace > 1:
        raise Wrong("the PNG file is damaged: its header says what no PNG file says")
    if header.depth != 8:
        raise Wrong(f"the PNG file has {header.depth} bits a sample, and must have 8")
    if header.interlace:
        raise Wrong("the PNG file is interlaced: save it without")


def _body(chunks: Iterator[tuple[bytes, bytes]], header: Header) -> tuple[bytes, bytes, bytes]:
    """The palette, what tRNS says, and the packed pixels (sections 5.6 and 11). Raises Wrong for what cannot be."""
    found: dict[bytes, list[bytes]] = {b"PLTE": [], b"tRNS": [], b"IDAT": []}
    last = b"IHDR"
    for name, data in chunks:
        if name in (b"PLTE", b"tRNS") and (found[name] or found[b"IDAT"]):
            raise Wrong("the PNG file is damaged: its chunks are in no order")
        if name == b"IDAT" and found[name] and last != name:
            raise Wrong("the PNG file is damaged: its pixels lie apart")
        if name in found:
            found[name].append(data)
        elif name == b"IEND" and data:
            raise Wrong("the PNG file is damaged: its end holds something")
        elif name != b"IEND" and not name[:1].islower():  # critical, and none that is known
            raise Wrong("the PNG file is damaged, or of a kind that is not read")
        last = name
    palette, clear = (b"".join(found[name]) for name in (b"PLTE", b"tRNS"))
    _check_colours(header.colour, palette, clear)
    return palette, clear, b"".join(found[b"IDAT"])


def _check_colours(colour: int, palette: bytes, clear: bytes) -> None:
    """Raise Wrong unless the palette and tRNS are as long as that kind of file has them (sections 11.2.3, 11.3.2)."""
    count, rest = divmod(len(palette), 3)
    wrong = rest or count > 256 or (colour == PALETTE and not count) or (colour in (GREY, GREY_ALPHA) and count)
    most = {GREY: 2, RGB: 6, PALETTE: count}.get(colour, 0)
    if wrong or len(clear) > most or (clear and colour != PALETTE and len(clear) != most):
        raise Wrong("the PNG file is damaged: its palette or its transparent colour cannot be")


def _unpacked(packed: bytes, header: Header) -> Pixels:
    """The rows as they were packed, each with its filter before it, ``(h, 1 + bytes)``. No more is ever unpacked."""
    rows, bytes_each = header.height, 1 + header.width * SAMPLES[header.colour]
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(packed, rows * bytes_each + 1)
    except zlib.error:
        raise Wrong("the PNG file is damaged: its pixels cannot be unpacked") from None
    if len(data) < rows * bytes_each or (len(data) == rows * bytes_each and not inflater.eof):
        raise Wrong("the PNG file is cut short: it has fewer pixels than it says")
    if len(data) > rows * bytes_each or inflater.unused_data:
        raise Wrong("the PNG file is damaged: it has more pixels than it says")
    return np.frombuffer(data, np.uint8).reshape(rows, bytes_each)


def _unfiltered(rows: Pixels, samples: int) -> Pixels:
    """Pixels ``(h, w, samples)`` of filtered rows ``(h, 1 + w·samples)`` (section 9). Raises Wrong for other ones."""
    kinds, height = rows[:, 0], len(rows)
    if kinds.max(initial=0) > _PAETH:
        raise Wrong("the PNG file is damaged: a row has a filter that there is not")
    filtered = rows[:, 1:].reshape(height, -1, samples)
    # A row above and a pixel on the left of each, of nothing, as the filters want it.
    page = np.zeros((height + 1, filtered.shape[1] + 1, samples), np.uint8)
    page[1:, 1:] = filtered
    if kinds.max(initial=0) >= _AVERAGE:
        _undo_along_diagonals(page, kinds)
    else:
        for row, kind in enumerate(kinds, 1):
            if kind == _SUB:
                np.cumsum(page[row], axis=0, dtype=np.uint8, out=page[row])
            elif kind == _UP:
                page[row] += page[row - 1]
    return page[1:, 1:]


def _undo_along_diagonals(page: Pixels, kinds: Pixels) -> None:
    """Undo the filters of ``page``, in place, one diagonal after the other.

    A pixel needs those on its left, above it, and between the two. On the diagonal where column + row is t no pixel
    needs another, and all that they need is on the two before: h + w steps in place of h · w.
    """
    height, width = (side - 1 for side in page.shape[:2])
    flat, wide = page.reshape(-1, page.shape[2]), width + 1
    used = set(np.unique(kinds))
    for t in range(height + width - 1):
        top, bottom = max(t - width + 1, 0), min(t, height - 1)
        first = (top + 1) * wide + t - top + 1
        # One row down and one column back is as far for each.
        here = slice(first, first + (bottom - top) * width + 1, width)
        left, above, between = (_moved(flat, here, back) for back in (1, wide, wide + 1))
        kind = kinds[top : bottom + 1, None]
        flat[here] += _predicted(kind, used, left, above, between)


def _moved(flat: Pixels, here: slice, back: int) -> NDArray[np.int16]:
    return flat[here.start - back : here.stop - back : here.step].astype(np.int16)


def _predicted(
    kind: Pixels, used: set[Any], left: NDArray[np.int16], above: NDArray[np.int16], between: NDArray[np.int16]
) -> Pixels:
    """What the filters say of pixels ``(n, samples)`` by their neighbours, the filter of each ``(n, 1)``."""
    guess = np.zeros_like(left)
    if _PAETH in used:
        guess = np.where(kind == _PAETH, _paeth(left, above, between), guess)
    if _AVERAGE in used:
        guess = np.where(kind == _AVERAGE, (left + above) >> 1, guess)
    if _SUB in used:
        guess = np.where(kind == _SUB, left, guess)
    if _UP in used:
        guess = np.where(kind == _UP, above, guess)
    return guess.astype(np.uint8)


def _paeth(left: NDArray[np.int16], above: NDArray[np.int16], between: NDArray[np.int16]) -> NDArray[np.int16]:
    """Whichever of the three is nearest to left + above - between; of two as near, the first (section 9.4)."""
    to_left, to_above = np.abs(above - between), np.abs(left - between)
    to_between = np.abs(left + above - 2 * between)
    second = np.where(to_above <= to_between, above, between)
    return np.where((to_left <= to_above) & (to_left <= to_between), left, second)


def _straight(samples: Pixels, colour: int, palette: bytes, clear: bytes) -> tuple[Pixels, Pixels | None]:
    """Grey or RGB ``(h, w, 1 or 3)``, and alpha ``(h, w, 1)`` where there is any."""
    if colour == PALETTE:
        colours = np.frombuffer(palette, np.uint8).reshape(-1, 3)
        if samples.max(initial=0) >= len(colours):
            raise Wrong("the PNG file is damaged: a pixel has a colour that its palette has not")
        alphas = np.full(len(colours), 255, np.uint8)
        alphas[: len(clear)] = np.frombuffer(clear, np.uint8)
        return colours[samples[..., 0]], alphas[samples] if clear else None
    if colour in (GREY_ALPHA, RGBA):
        return samples[..., :-1], samples[..., -1:]
    if clear:
        hidden = (samples == np.frombuffer(clear, ">u2")).all(axis=-1, keepdims=True)
        return samples, np.where(hidden, 0, 255).astype(np.uint8)
    return samples, None


def _with_channels(colour: Pixels, alpha: Pixels | None, channels: int) -> Pixels:
    """The picture ``(h, w, channels)``; without alpha it lies on white, and grey is luma."""
    height, width = colour.shape[:2]
    if channels == 4:
        whole = np.full((height, width, 4), 255, np.uint8)
        whole[..., :3] = colour
        whole[..., 3:] = 255 if alpha is None else alpha
        return whole
    if alpha is not None:
        share = alpha.astype(np.float32) / 255
        colour = np.rint(colour * share + (1 - share) * 255).astype(np.uint8)
    if colour.shape[2] == channels:
        return np.ascontiguousarray(colour)
    if channels == 3:
        return np.repeat(colour, 3, axis=2)
    luma: Pixels = ((colour @ _LUMA + 32_768) >> 16).astype(np.uint8)[..., None]
    return luma
