"""Godot 4's ``.tres``. No ``.import`` file and no uid is written: the editor makes them."""

from serving.assets.atlas.model import Atlas
from serving.assets.atlas.writers import godot

DIALECT = godot.Dialect(format=3, texture="Texture2D", durations=True)


def render(atlas: Atlas) -> dict[str, str]:
    """The files by name."""
    return godot.render(atlas, DIALECT)
