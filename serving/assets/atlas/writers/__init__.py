"""The formats that an atlas can be written in, by the names they have in a file."""

from collections.abc import Callable

from serving.assets.atlas.model import Atlas
from serving.assets.atlas.writers import (
    aseprite,
    godot3,
    godot4,
    json_array,
    json_hash,
    libgdx,
    phaser,
    pixi,
    plain,
    tiled,
    unity,
    unreal,
)

WRITERS: dict[str, Callable[[Atlas], dict[str, str]]] = {  # to texts by the names of their files
    "json": json_hash.render,
    "json-array": json_array.render,
    "phaser": phaser.render,
    "pixi": pixi.render,
    "aseprite": aseprite.render,
    "godot3": godot3.render,
    "godot4": godot4.render,
    "unity": unity.render,
    "unreal": unreal.render,
    "libgdx": libgdx.render,
    "tiled": tiled.render,
    "plain": plain.render,
}
