"""Each format read again as its program documents it, by nothing of ours: sprites by name, out of pages by file."""

import json
import re
from collections.abc import Callable
from pathlib import PurePath
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np

from core.images import Images

Pages = dict[str, Images]
Files = dict[str, str]


def cut(page: Images, x: int, y: int, w: int, h: int) -> Images:
    assert 0 <= x < x + w <= page.shape[1]
    assert 0 <= y < y + h <= page.shape[0]
    return page[y : y + h, x : x + w]


def placed(pixels: Images, x: int, y: int, w: int, h: int) -> Images:
    whole = np.zeros((h, w, 4), np.uint8)
    whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return whole


def texture_frame(page: Images, data: dict) -> Images:
    rect, at, size = data["frame"], data["spriteSourceSize"], data["sourceSize"]
    assert data["rotated"] is False
    assert data["trimmed"] == ((size["w"], size["h"]) != (rect["w"], rect["h"]))
    return placed(cut(page, rect["x"], rect["y"], rect["w"], rect["h"]), at["x"], at["y"], size["w"], size["h"])


def texture_json(files: Files, pages: Pages) -> Pages:
    sprites = {}
    for said in files.values():
        data = json.loads(said)
        if "anims" in data:
            continue
        for texture in data.get("textures", [data]):
            about = texture.get("meta", texture)
            page, frames = pages[about["image"]], texture["frames"]
            assert page.shape[:2] == (about["size"]["h"], about["size"]["w"])
            listed = frames.items() if isinstance(frames, dict) else [(frame["filename"], frame) for frame in frames]
            sprites.update({name: texture_frame(page, frame) for name, frame in listed})
    return sprites


def godot(files: Files, pages: Pages) -> Pages:
    sprites = {}
    for file, said in files.items():
        if 'type="SpriteFrames"' not in said:
            image = re.search(r'ext_resource path="((?:[^"\\]|\\.)*)"', said)[1]
            space = {
                key: list(map(int, values.split(","))) for key, values in re.findall(r"(\w+) = Rect2\(([^)]*)\)", said)
            }
            x, y, w, h = space["region"]
            left, top, wider, taller = space.get("margin", [0, 0, 0, 0])
            whole = placed(cut(pages[image], x, y, w, h), left, top, w + wider, h + taller)
            sprites[unquote(PurePath(file).stem)] = whole
    return sprites


def unity(files: Files, pages: Pages) -> Pages:
    sprites = {}
    for said in files.values():
        page = pages[re.search("^:texture=(.*)$", said, re.MULTILINE)[1]]
        for line in said.splitlines():
            if line and line[0] not in "#:":
                name, x, y, w, h, *_ = line.split(";")
                rect = int(x), page.shape[0] - int(y) - int(h), int(w), int(h)
                sprites[unquote(name)] = cut(page, *rect)
    return sprites


def libgdx(files: Files, pages: Pages) -> Pages:
    """As ``TextureAtlasData.load`` goes through the lines."""
    sprites, page, name, fields = {}, None, "", {}

    def end() -> None:
        if name:
            x, y, w, h = fields["bounds"]
            left, below, wide, tall = fields.get("offsets", [0, 0, w, h])
            sprites[name] = placed(cut(page, x, y, w, h), left, tall - below - h, wide, tall)

    (said,) = files.values()
    for line in [*said.split("\n"), ""]:
        if not line.strip():
            end()
            page, name = None, ""
        elif page is None:
            page = pages[line]
        elif ":" in line:
            key, _, values = line.partition(":")
            if name:
                fields[key] = [int(value) for value in values.split(",")]
        else:
            end()
            name, fields = line.strip(), {}
    return sprites


def tiled(files: Files, pages: Pages) -> Pages:
    sprites = {}
    for said in files.values():
        root = ET.fromstring(said)
        get = {key: int(value) for key, value in root.attrib.items() if value.isdigit()}
        page = pages[root.find("image").get("source")]
        for tile in root.findall("tile"):
            row, column = divmod(int(tile.get("id")), get["columns"])
            assert int(tile.get("id")) < get["tilecount"]
            x = get["margin"] + column * (get["tilewidth"] + get["spacing"])
            y = get["margin"] + row * (get["tileheight"] + get["spacing"])
            name = tile.find("properties/property[@name='name']").get("value")
            sprites[name] = cut(page, x, y, get["tilewidth"], get["tileheight"])
    return sprites


def plain(files: Files, pages: Pages) -> Pages:
    (said,) = files.values()
    data = json.loads(said)
    sprites = {}
    for frame in data["frames"]:
        page = pages[data["pages"][frame["page"]]["image"]]
        pixels = cut(page, frame["x"], frame["y"], frame["width"], frame["height"])
        sprites[frame["name"]] = placed(pixels, *frame["offset"], *frame["source"])
    return sprites


READERS: dict[str, Callable[[Files, Pages], Pages]] = {
    "json": texture_json,
    "json-array": texture_json,
    "phaser": texture_json,
    "pixi": texture_json,
    "aseprite": texture_json,
    "unreal": texture_json,
    "godot3": godot,
    "godot4": godot,
    "unity": unity,
    "libgdx": libgdx,
    "tiled": tiled,
    "plain": plain,
}
