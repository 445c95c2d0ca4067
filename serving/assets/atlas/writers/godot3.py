"""Godot 3's ``.tres``."""

from serving.assets.atlas.model import Atlas
from serving.assets.atlas.writers import godot

DIALECT = godot.Dialect(format=2, texture="Texture", durations=False)


def render(atlas: Atlas) -> dict[str, str]:
    """The files by name."""
    return godot.render(atlas, DIALECT)
