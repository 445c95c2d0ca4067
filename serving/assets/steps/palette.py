"""Palette lock: pictures in the colours of one palette."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import AssetError
from serving.assets.palettes.colours import MOST_COLOURS, Palette, hex_of, rgb_of
from serving.assets.palettes.files import read_palette
from serving.assets.palettes.learning import learn
from serving.assets.palettes.matching import DITHERS, locked
from serving.assets.settings import check_choice, check_whole
from serving.assets.sprite import Sprite


@dataclass(frozen=True)
class Lock:
    """Each colour becomes the nearest of ``colours`` to the eye, or of as many as ``learn``, learned from all sprites.

    In a file, ``file`` names a palette in place of both. ``dither`` is "none" or a Bayer matrix by its side.
    """

    colours: tuple[str, ...] = ()
    learn: int = 0
    dither: str = "none"

    def __post_init__(self) -> None:
        if bool(self.colours) == bool(self.learn):
            raise AssetError("a palette is one of file = 'NAME.gpl', colours = ['#rrggbb', …] and learn = 16")
        if not isinstance(self.colours, tuple):
            raise AssetError(f"colours is {self.colours!r}: give a list of colours, such as ['#ff8800', '#000000']")
        if self.colours:
            self.palette()
        check_whole("learn", self.learn, 0, MOST_COLOURS)
        check_choice("dither", self.dither, DITHERS)

    def palette(self) -> Palette:
        """The palette of ``colours``."""
        return Palette(tuple(rgb_of("colours", text) for text in self.colours))


def lock(sprites: Sequence[Sprite], settings: Lock) -> list[Sprite]:
    """The sprites, all in colours of one palette."""
    if not sprites:
        return []
    palette = settings.palette() if settings.colours else learn([s.pixels for s in sprites], settings.learn)
    return [replace(s, pixels=locked(s.pixels, palette, settings.dither), palette=palette.colours) for s in sprites]


def with_file(table: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The step's table with the colours of the ``file`` that it names, so that its key is that of its content."""
    if "file" not in table:
        return table
    rest = {name: value for name, value in table.items() if name != "file"}
    if not isinstance(table["file"], str):
        raise AssetError(f"file is {table['file']!r}: give the name of a palette file")
    if "colours" in rest:
        raise AssetError("a palette has a file or colours: leave one out")
    return {**rest, "colours": [hex_of(colour) for colour in read_palette(folder / table["file"]).colours]}
