"""Godot 3 and Tiled themselves read what was written for them, with names that are hostile."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from core.images import encode_png
from serving.assets.atlas.layout import Packing
from serving.assets.atlas.model import Animation
from serving.assets.atlas.packing import pack
from serving.assets.atlas.writers import WRITERS
from serving.assets.sprite import Sprite
from serving.assets.steps.alpha import OneBit, one_bit
from tests.serving.assets.pictures import picture

NAMES = ("plain", 'wa"lk/0', "wa\\lk é", "a%20b", "x")
GO = Animation('go "\\', ("x", "plain"), (100, 50))
READ = Path(__file__).parent / "read.gd"
TILES = """<?xml version="1.0" encoding="UTF-8"?>
<map version="1.4" orientation="orthogonal" width="5" height="1" tilewidth="6" tileheight="6">
<tileset firstgid="1" source="hero.tsx"/>
<layer id="1" name="all" width="5" height="1"><data encoding="csv">1,2,3,4,5</data></layer></map>
"""


def program(name: str, package: str) -> str:
    return shutil.which(name) or pytest.skip(f"no {name}: apt-get install {package}")


def run(folder: Path, *command: str) -> str:
    home = {"HOME": str(folder), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(command, cwd=folder, env={**os.environ, **home}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(folder: Path, kind: str, packing: Packing):
    sprites = {name: one_bit(picture(n, 6, 6, 0.2), OneBit(1)) for n, name in enumerate(NAMES)}
    packed = pack("hero", {name: Sprite.of(pixels) for name, pixels in sprites.items()}, packing, [GO])
    for page, pixels in zip(packed.atlas.pages, packed.pages, strict=True):
        (folder / page.image).write_bytes(encode_png(pixels))
    for file, said in WRITERS[kind](packed.atlas).items():
        (folder / file).write_text(said, encoding="utf-8")
    return packed, sprites


def shown(pixels):
    return pixels * (pixels[..., 3:] > 0)  # Godot colours what is transparent, as it imports


def test_godot_3_draws_every_sprite(tmp_path):
    godot = program("godot3-server", "godot3-server")
    packed, sprites = write(tmp_path, "godot3", Packing(16, extrude=1))
    assert len(packed.pages) > 1
    assert any(frame.trimmed for frame in packed.atlas.frames)
    (tmp_path / "project.godot").write_text('config_version=4\n[application]\nconfig/name="test"\n')
    shutil.copy(READ, tmp_path)
    run(tmp_path, godot, "--path", ".", "--editor", "--quit")
    said = run(tmp_path, godot, "--path", ".", "-s", "read.gd")

    read = json.loads(next(line for line in said.splitlines() if line.startswith("READ"))[4:])
    drawn = {
        unquote(file.removesuffix(".tres")): np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
        for file, (height, width, data) in read["sprites"].items()
    }
    assert drawn.keys() == sprites.keys()
    assert all(np.array_equal(shown(drawn[name]), pixels) for name, pixels in sprites.items())
    assert read["animations"] == {GO.name: [3, 20]}


def test_tiled_draws_every_tile(tmp_path):
    tiled = program("tmxrasterizer", "tiled")
    packed, sprites = write(tmp_path, "tiled", Packing(32, extrude=1, grid=True))
    (tmp_path / "map.tmx").write_text(TILES)
    run(tmp_path, tiled, "map.tmx", "drawn.png")
    with Image.open(tmp_path / "drawn.png") as opened:
        drawn = np.asarray(opened.convert("RGBA"))
    wanted = np.concatenate([sprites[frame.name] for frame in packed.atlas.frames], axis=1)
    assert np.array_equal(shown(drawn), wanted)
