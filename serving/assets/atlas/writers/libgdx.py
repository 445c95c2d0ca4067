"""libGDX's ``.atlas`` (since 1.10): pages and regions as lines of ``field:values``."""

from core.errors import AssetError
from serving.assets.atlas.model import Atlas, Frame, Page
from serving.assets.atlas.writers.texture_json import frames_on


def render(atlas: Atlas) -> dict[str, str]:
    """The file by its name. Raises AssetError for a name with a colon, which libGDX takes for a field."""
    blocks = []
    for number, page in enumerate(atlas.pages):
        lines = [page.image, f"size:{page.width},{page.height}", "format:RGBA8888", "filter:Nearest,Nearest",
                 "repeat:none", "pma:false"]  # fmt: skip
        for frame in frames_on(atlas, number):
            lines += _region(frame)
        blocks.append("".join(f"{line}\n" for line in lines))
    return {f"{atlas.name}.atlas": "\n".join(blocks)}


def parse(files: dict[str, str]) -> list[tuple[Page, list[Frame]]]:
    """The pages and frames; pivots are not in this format."""
    (said,) = files.values()
    pages: list[tuple[Page, list[Frame]]] = []
    for number, block in enumerate(said.split("\n\n")):
        image, *lines = block.splitlines()
        fields: list[tuple[str, dict[str, list[int]]]] = []
        head = dict(line.split(":") for line in lines[:5])
        for line in lines[5:]:
            name, colon, values = line.partition(":")
            if colon:
                fields[-1][1][name] = [int(value) for value in values.split(",")]
            else:
                fields.append((line, {}))
        width, height = map(int, head["size"].split(","))
        pages.append((Page(image, width, height), [_frame(name, number, values) for name, values in fields]))
    return pages


def _region(frame: Frame) -> list[str]:
    if ":" in frame.name:
        raise AssetError(f"libGDX cannot hold the colon in {frame.name!r}: rename it")
    lines = [frame.name, f"bounds:{frame.x},{frame.y},{frame.width},{frame.height}"]
    if frame.trimmed:
        below = frame.source[1] - frame.offset[1] - frame.height
        lines.append(f"offsets:{frame.offset[0]},{below},{frame.source[0]},{frame.source[1]}")
    if frame.borders:
        left, top, right, bottom = frame.borders
        lines.append(f"split:{left},{right},{top},{bottom}")
    return lines


def _frame(name: str, page: int, values: dict[str, list[int]]) -> Frame:
    x, y, width, height = values["bounds"]
    left, below, wide, tall = values.get("offsets", [0, 0, width, height])
    borders = None
    if "split" in values:
        split = values["split"]
        borders = split[0], split[2], split[1], split[3]
    return Frame(name, page, x, y, width, height, (left, tall - below - height), (wide, tall), None, borders)
