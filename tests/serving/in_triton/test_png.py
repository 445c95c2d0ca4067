"""The PNG reader and writer that doors have: against Pillow, the filters as they are written down, and anyone."""

import io
import itertools
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from core.images import to_pillow
from serving.in_triton.models.png import COLOUR, MOST_CHUNKS, ROOM, SIGNATURE, Wrong, most_bytes, read_png, write_png

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def filtered(samples, kinds):
    """The rows as ISO/IEC 15948, section 9, filters them, one value after the other."""
    height, width, each = samples.shape
    page = np.zeros((height + 1, width + 1, each), int)
    page[1:, 1:] = samples
    out = bytearray()
    for y, kind in enumerate(kinds, 1):
        out.append(kind)
        for x in range(1, width + 1):
            for s in range(each):
                a, b, c = int(page[y, x - 1, s]), int(page[y - 1, x, s]), int(page[y - 1, x - 1, s])
                p = a + b - c
                nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
                out.append((int(page[y, x, s]) - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
    return bytes(out)


def file_of(samples, colour, kinds=None, before=(), header=None, packed=None, parts=1, after=b""):
    """A PNG file of samples ``(h, w, n)``, chunk by chunk."""
    height, width = samples.shape[:2]
    said = header or struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    packed = zlib.compress(filtered(samples, kinds or [0] * height)) if packed is None else packed
    cuts = np.linspace(0, len(packed), parts + 1).astype(int)
    data = [chunk(b"IDAT", packed[a:b]) for a, b in itertools.pairwise(cuts)]
    return b"".join([SIGNATURE, chunk(b"IHDR", said), *before, *data, chunk(b"IEND", b""), after])


def as_pillow_reads(file, channels):
    """The picture, straight alpha; without alpha on white, its luma where it is to be grey."""
    with Image.open(io.BytesIO(file)) as picture:
        rgba = picture.convert("RGBA")
        if channels != 4:
            share = np.asarray(rgba, np.float32)[..., 3:] / 255
            over = np.rint(np.asarray(rgba, np.float32)[..., :3] * share + (1 - share) * 255).astype(np.uint8)
            rgba = Image.fromarray(over)
        return np.asarray(rgba.convert(MODES[channels])).reshape(*picture.size[::-1], channels)


@given(st.data())
def test_it_reads_what_pillow_reads(data):
    """Of every kind, with any filter on any row, in any number of pieces."""
    draw = data.draw
    colour, channels = draw(st.sampled_from(list(SAMPLES))), draw(st.sampled_from(list(MODES)))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    stream = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 256))
    samples = stream.randint(0, count if colour == PALETTE else draw(st.sampled_from([2, 256])),
                             (height, width, SAMPLES[colour]), np.uint8)  # fmt: skip
    before = [chunk(b"tEXt", b"Comment\0any")]
    if colour == PALETTE:
        before.append(chunk(b"PLTE", stream.bytes(3 * count)))
    if draw(st.booleans()) and colour in (GREY, RGB):
        before.append(chunk(b"tRNS", samples[0, 0].astype(">u2").tobytes()))
    elif draw(st.booleans()) and colour == PALETTE:
        before.append(chunk(b"tRNS", stream.bytes(draw(st.integers(1, count)))))
    kinds = draw(st.lists(st.integers(0, 4), min_size=height, max_size=height))
    file = file_of(samples, colour, kinds, before, parts=draw(st.integers(1, 3)))
    assert (read_png(file, height, width, channels) == as_pillow_reads(file, channels)).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("smooth", [True, False])
def test_it_reads_what_pillow_and_it_write(channels, smooth):
    """Pillow filters smooth pictures in every way that there is."""
    down, across = np.mgrid[0:70, 0:50]
    waves = np.stack([127 + 120 * np.sin(down / (3 + c) + across / (5 - c)) for c in range(channels)], axis=-1)
    image = (waves if smooth else np.random.RandomState(0).uniform(0, 255, waves.shape)).astype(np.uint8)
    buffer = io.BytesIO()
    to_pillow(image).save(buffer, "PNG", optimize=True)
    for file in (buffer.getvalue(), write_png(image, {"Größe".encode().decode("latin-1"): "日本"})):
        assert (read_png(file, 70, 50, channels) == image).all()


IMAGE = np.random.RandomState(1).randint(0, 256, (6, 5, 4), np.uint8)
HEADER = (5, 6, 8, RGBA, 0, 0, 0)
WHOLE = file_of(IMAGE, RGBA, [0, 1, 2, 3, 4, 0])


def headed(**changes):
    fields = dict(zip(("width", "height", "depth", "colour", "packing", "filters", "interlace"), HEADER, strict=True))
    return file_of(IMAGE, RGBA, header=struct.pack(">IIBBBBB", *(fields | changes).values()))


def packed(data):
    return file_of(IMAGE, RGBA, packed=data)


ROWS = filtered(IMAGE, [0] * 6)
RED = np.zeros((6, 5, 1), np.uint8)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"", "not a PNG file"),
        (b"GIF89a" * 20, "not a PNG file"),
        (WHOLE[:20], "cut short"),
        (WHOLE[:-12], "cut short"),
        (WHOLE[:-1], "cut short"),
        (WHOLE + b"\0", "something follows the end"),
        (WHOLE[:60] + bytes([WHOLE[60] ^ 1]) + WHOLE[61:], "a checksum is wrong"),
        (SIGNATURE + chunk(b"IEND", b""), "does not begin with a header"),
        (SIGNATURE + chunk(b"IHDR", b"") + chunk(b"IEND", b""), "does not begin with a header"),
        (headed(width=6), "is 6x6 pixels, and must be 5x6"),
        (headed(width=2**31 - 1, height=2**31 - 1), "is 2147483647x2147483647 pixels, and must be 5x6"),
        (headed(width=0), "is 0x6 pixels"),
        (headed(depth=16), "16 bits a sample, and must have 8"),
        (headed(depth=1, colour=GREY), "1 bits a sample"),
        (headed(colour=5), "what no PNG file says"),
        (headed(packing=1), "what no PNG file says"),
        (headed(interlace=1), "interlaced: save it without"),
        (headed(colour=RGB), "more pixels than it says"),
        (packed(b""), "fewer pixels than it says"),
        (packed(b"no zlib"), "cannot be unpacked"),
        (packed(zlib.compress(ROWS[:-1])), "fewer pixels than it says"),
        (packed(zlib.compress(ROWS)[:-4]), "fewer pixels than it says"),
        (packed(zlib.compress(ROWS)[:-1] + b"\0"), "cannot be unpacked"),
        (packed(zlib.compress(ROWS + b"\0")), "more pixels than it says"),
        (packed(zlib.compress(ROWS) + b"\0"), "more pixels than it says"),
        (packed(zlib.compress(bytes(10**7))), "more pixels than it says"),
        (packed(zlib.compress(b"\5" + ROWS[1:])), "a filter that there is not"),
        (file_of(RED, PALETTE), "its palette"),
        (file_of(RED, PALETTE, before=[chunk(b"PLTE", b"abcd")]), "its palette"),
        (file_of(RED, PALETTE, before=[chunk(b"PLTE", b"abc" * 257)]), "its palette"),
        (file_of(RED + 1, PALETTE, before=[chunk(b"PLTE", b"abc")]), "a colour that its palette has not"),
        (file_of(RED, PALETTE, before=[chunk(b"PLTE", b"abc"), chunk(b"tRNS", b"ab")]), "its palette"),
        (file_of(RED, GREY, before=[chunk(b"PLTE", b"abc")]), "its palette"),
        (file_of(RED, GREY, before=[chunk(b"tRNS", b"a")]), "its transparent colour"),
        (file_of(IMAGE, RGBA, before=[chunk(b"tRNS", b"ab")]), "its transparent colour"),
        (file_of(RED, PALETTE, before=[chunk(b"PLTE", b"abc")] * 2), "in no order"),
        (file_of(RED, PALETTE, parts=1)[:-12] + chunk(b"PLTE", b"abc") + chunk(b"IEND", b""), "in no order"),
        (file_of(IMAGE, RGBA, before=[chunk(b"IDAT", b""), chunk(b"tEXt", b"x")]), "its pixels lie apart"),
        (file_of(IMAGE, RGBA, before=[chunk(b"ABCD", b"")]), "of a kind that is not read"),
        (WHOLE[:33] + WHOLE[8:], "of a kind that is not read"),
        (WHOLE[:-12] + chunk(b"IEND", b"x"), "its end holds something"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(file, said):
    with pytest.raises(Wrong, match=said):
        read_png(file, 6, 5, 4)


def test_a_file_that_is_too_large_is_not_looked_at():
    with pytest.raises(Wrong, match="more than a picture of 5x6 pixels needs"):
        read_png(WHOLE + bytes(most_bytes(6, 5)), 6, 5, 4)
    assert most_bytes(6, 5) == ROOM + 157  # five quarters of 6 rows of a filter and 5 pixels


@pytest.mark.parametrize("strategy", [zlib.Z_FIXED, zlib.Z_DEFAULT_STRATEGY, None])
def test_whatever_a_file_was_packed_with_there_is_room_for_it(strategy):
    """In any way, or not at all, in chunks of 100 bytes, and with a large profile."""
    image = np.random.RandomState(0).randint(144, 256, (64, 64, 4), np.uint8)
    rows = np.concatenate([np.zeros((64, 1), np.uint8), image.reshape(64, -1)], axis=1).tobytes()
    coder = zlib.compressobj(0) if strategy is None else zlib.compressobj(1, strategy=strategy)
    data = coder.compress(rows) + coder.flush()
    profile = chunk(b"iCCP", b"sRGB\0\0" + bytes(60_000))
    file = file_of(image, RGBA, before=[profile], packed=data, parts=len(data) // 100)
    assert len(file) < most_bytes(64, 64)
    assert (read_png(file, 64, 64, 4) == image).all()


def test_a_file_of_very_many_parts_is_given_up_early():
    """A picture of 2048x2048 pixels leaves room for 1.7 million chunks of nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2048, 2048, 8, RGBA, 0, 0, 0))
    nothing, looked = chunk(b"tEXt", b""), []
    for count in (MOST_CHUNKS - 2, 10 * MOST_CHUNKS):
        with pytest.raises(Wrong) as fault:
            read_png(SIGNATURE + header + count * nothing, 2048, 2048, 4)
        looked.append(str(fault.value))
    assert looked == ["the PNG file is cut short", f"the PNG file has more than {MOST_CHUNKS} parts: save it anew"]
    smallest = most_bytes(2048, 2048) // 8192  # chunks of the usual size
    assert smallest < MOST_CHUNKS / 2


@given(st.data())
@example(None)
def test_whatever_comes_is_a_picture_or_refused(data):
    """Bytes changed, cut, put in; with mended checksums, too, so that what is behind them is reached."""
    parts = [WHOLE[8:33], WHOLE[33:-12], WHOLE[-12:]]
    if data is not None:
        parts = [mangled(data, part) for part in parts]
        if data.draw(st.booleans()):
            parts = data.draw(st.permutations([*parts, *data.draw(st.lists(st.sampled_from(parts), max_size=2))]))
    file = SIGNATURE + b"".join(parts)
    try:
        found = read_png(file, 6, 5, 3)
    except Wrong as fault:
        assert "\n" not in str(fault)
    else:
        assert (found.shape, found.dtype) == ((6, 5, 3), np.uint8)


def mangled(data, part):
    name, body = part[4:8], bytearray(part[8:-4])
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, max(len(body) - 1, 0)))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    mended = chunk(name, bytes(body))
    return mended if data.draw(st.booleans()) else mended[: data.draw(st.integers(0, len(mended)))]


def test_a_bomb_takes_no_more_memory_than_a_picture():
    """A twentieth of what it would unpack to, at most."""
    bomb = packed(zlib.compress(bytes(20 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(Wrong, match="more pixels than it says"):
            read_png(bomb, 6, 5, 4)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_writer_and_reader_know_the_same_kinds():
    assert {MODES[channels]: colour for channels, colour in COLOUR.items()} == {"L": GREY, "RGB": RGB, "RGBA": RGBA}
