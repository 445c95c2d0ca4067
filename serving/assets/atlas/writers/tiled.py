"""Tiled's ``.tsx`` tile sets: a grid, a file a page, with names as properties, and animations."""

from xml.etree import ElementTree as ET

from core.errors import AssetError
from serving.assets.atlas.model import Atlas, Frame
from serving.assets.atlas.writers.texture_json import frames_on, page_files, page_of


def render(atlas: Atlas) -> dict[str, str]:
    """The files by name. Raises AssetError for an atlas that is not packed as a grid."""
    files = {}
    for number, name in enumerate(page_files(atlas, ".tsx")):
        tree = _tileset(atlas, number)
        ET.indent(tree, " ")
        files[name] = '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(tree, encoding="unicode") + "\n"
    return files


def _tileset(atlas: Atlas, number: int) -> "ET.Element":
    frames, page = frames_on(atlas, number), atlas.pages[number]
    width, height = frames[0].width, frames[0].height
    spacing = 2 * atlas.extrude + atlas.padding
    columns = (page.width - atlas.extrude + spacing) // (width + spacing)  # as Tiled counts them
    rows = (page.height - atlas.extrude + spacing) // (height + spacing)
    tiles = _tiles(atlas, frames, columns, spacing)

    root = ET.Element("tileset", version="1.8", name=page.image.removesuffix(".png"), tilewidth=str(width),
                      tileheight=str(height), spacing=str(spacing), margin=str(atlas.extrude),
                      tilecount=str(rows * columns), columns=str(columns))  # fmt: skip
    ET.SubElement(root, "image", source=page.image, width=str(page.width), height=str(page.height))
    shown = {a.frames[0]: a for a in atlas.animations if page_of(atlas, a, "Tiled") == number}
    for name, tile in sorted(tiles.items(), key=lambda pair: pair[1]):
        element = ET.SubElement(root, "tile", id=str(tile))
        ET.SubElement(ET.SubElement(element, "properties"), "property", name="name", value=name)
        if name in shown:
            moving = ET.SubElement(element, "animation")
            for frame, duration in zip(shown[name].frames, shown[name].durations, strict=True):
                ET.SubElement(moving, "frame", tileid=str(tiles[frame]), duration=str(duration))
    return root


def _tiles(atlas: Atlas, frames: list[Frame], columns: int, spacing: int) -> dict[str, int]:
    """The number of each frame's tile, counted along rows."""
    width, height = frames[0].width, frames[0].height
    tiles = {}
    for frame in frames:
        column, right = divmod(frame.x - atlas.extrude, width + spacing)
        row, down = divmod(frame.y - atlas.extrude, height + spacing)
        if right or down or frame.trimmed or (frame.width, frame.height) != (width, height):
            raise AssetError("Tiled takes tiles of one size in rows: pack the atlas with grid = true")
        tiles[frame.name] = row * columns + column
    return tiles
