"""Files that hold pictures but are not read, told by their first bytes or their name, and what to do with them."""

from pathlib import Path

_BY_START = (
    (b"version https://git-lfs", "a Git LFS pointer instead of the file: run git lfs pull"),
    (b"PK\x03\x04", "an archive: unpack it, or import it by itself"),
    (b"Rar!", "an archive: unpack it"),
    (b"7z\xbc\xaf", "an archive: unpack it"),
    (b"\x1f\x8b", "an archive: unpack it"),
    (b"%PDF", "a document: save its pictures as PNG"),
    (b"%!PS", "vector graphics: render it to PNG, with Inkscape for example"),
    (b"gimp xcf", "a GIMP document: export it as PNG"),
    (b"8BPB", "a large Photoshop document: export it as PNG"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture: convert it to PNG"),
    (b"#?RADIANCE", "a Radiance picture: convert it to PNG"),
    (b"\xabKTX", "a GPU texture: convert it to PNG"),
    (b"\xff\x0a", "a JPEG XL picture: convert it to PNG"),
    (b"\x00\x00\x00\x0cJXL", "a JPEG XL picture: convert it to PNG"),
)
_HEIC = (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1")
_BY_NAME = {
    **dict.fromkeys(
        (".svg", ".svgz", ".ai", ".eps", ".wmf", ".emf"), "vector graphics: render it to PNG, with Inkscape for example"
    ),
    **dict.fromkeys((".heic", ".heif"), "an iPhone's HEIC picture: convert it to JPEG or PNG"),
    **dict.fromkeys(
        (".kra", ".ora", ".xcf", ".blend", ".clip", ".pdn", ".piskel"),
        "a document of a drawing program: export it as PNG",
    ),
    **dict.fromkeys(
        (".mp4", ".webm", ".mov", ".avi", ".mkv"), "a film: save its frames as PNG, with ffmpeg for example"
    ),
    **dict.fromkeys((".rar", ".7z", ".tar", ".gz", ".tgz", ".unitypackage"), "an archive: unpack it"),
    **dict.fromkeys(
        (".exr", ".hdr", ".ktx", ".ktx2", ".basis", ".jxl", ".vtf"),
        "a picture of a kind that is not read: convert it to PNG",
    ),
    **dict.fromkeys(
        (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf"), "a camera's raw picture: develop it to PNG or JPEG"
    ),
    ".zip": "an archive: unpack it, or import it by itself",
    ".npy": "an array: save its images as PNG",
    ".npz": "arrays: save their images as PNG",
}
_ASEPRITE = "an Aseprite document: export it, aseprite -b FILE --save-as FILE.png"


def advice_on(head: bytes, name: str) -> str | None:
    """What the file that begins with ``head`` is and what to do with it, in a few words; None if nobody knows."""
    # By how it begins, then by what its name and its text say
    for start, said in _BY_START:
        if head.startswith(start):
            return said

    suffix = Path(name).suffix.lower()
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if head[4:6] == b"\xe0\xa5" or suffix in (".ase", ".aseprite"):
        return _ASEPRITE
    if any(head[4:16].startswith(brand) for brand in _HEIC):
        return _BY_NAME[".heic"]
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page instead of the file: download it again"
    if text.startswith(b"<svg") or b"<svg" in text:
        return _BY_NAME[".svg"]
    return _BY_NAME.get(suffix)
