"""What proves that a file is ours: pictures say so inside, data by what they hold. Nothing else is ever replaced."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from PIL import Image, PngImagePlugin

from core.spec import GeneratorSpec

_NAME = "Ganfoundry"  # what the text "Software" of every file of ours begins with
_DESCRIPTION = 0x010E  # in Exif
_LARGEST = 1 << 26  # bytes of JSON: ours are smaller by far


def software() -> str:
    """What our files say they were made by."""
    try:
        return f"{_NAME} {version('ganfoundry')}"
    except PackageNotFoundError:
        return _NAME


def facts_of(spec: GeneratorSpec) -> dict[str, str]:
    """The texts that go into every picture a generator made: by what, and of whose data under which licence."""
    facts, origin = {"Software": software()}, spec.provenance
    if origin.data_licence:
        facts["Source"] = f"trained on {origin.data_name}, {origin.data_licence}"
    if origin.data_attribution:
        facts["Attribution"] = origin.data_attribution
    if origin.source_licence:
        facts["Trained with inputs"] = f"pictures under {origin.source_licence}"
    if origin.source_attribution:
        facts["Attribution of inputs"] = origin.source_attribution
    return facts


def signed_png(picture: Image.Image, text: Mapping[str, str] | None = None) -> bytes:
    """The PNG file of a picture, with our name in a text chunk as other programs write theirs.

    Texts in its ``info`` go along, and more ``text``.
    """
    info = PngImagePlugin.PngInfo()
    own = {key: value for key, value in picture.info.items() if isinstance(key, str) and isinstance(value, str)}
    for key, value in {"Software": software(), **(text or {}), **own}.items():
        info.add_itxt(key, value)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def is_ours(path: Path) -> bool:
    """Whether the file at ``path`` says that we made it: a PNG, GIF or WebP, or JSON with a "software" of ours."""
    try:
        return _is_our_json(path) if path.suffix == ".json" else _is_our_picture(path)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False


def may_write(path: Path) -> bool:
    """Whether writing ``path`` loses nothing of anyone's: nothing is there, or something that is ours."""
    return not path.exists() or (path.is_file() and is_ours(path))


def _is_our_json(path: Path) -> bool:
    if path.stat().st_size > _LARGEST:
        return False
    values = json.loads(path.read_text(encoding="utf-8"))
    return isinstance(values, dict) and str(values.get("software", "")).startswith(_NAME)


def signed(picture: Image.Image) -> bool:
    """Whether an opened picture says that we made it, by the text in it: people call their pictures sheet.png too."""
    said = picture.info.get("comment", b"")  # of a GIF
    comment = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    described = str(picture.getexif().get(_DESCRIPTION, "")) if picture.format == "WEBP" else ""
    texts = [str(picture.info.get("Software", "")), *comment.split("; "), *described.split("; ")]
    return any(text.removeprefix("Software: ").startswith(_NAME) for text in texts)


@contextmanager
def of_any_size() -> Iterator[None]:
    """In the block Pillow opens pictures of any size: our own sheets are larger than what it takes for an attack."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _is_our_picture(path: Path) -> bool:
    with of_any_size(), Image.open(path, formats=["PNG", "GIF", "WEBP"]) as picture:
        return signed(picture)
