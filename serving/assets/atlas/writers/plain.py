"""``assets.json``: all that is known, for programs of one's own."""

import json
from dataclasses import asdict
from typing import Any

from serving.assets.atlas.model import Animation, Atlas, Frame, Page
from serving.assets.atlas.writers.texture_json import text

FORMAT_VERSION = 1


def render(atlas: Atlas) -> dict[str, str]:
    """The file by its name: the fields of ``Atlas``, ``Page``, ``Frame`` and ``Animation``."""
    return {f"{atlas.name}.assets.json": text({"format_version": FORMAT_VERSION, **asdict(atlas)})}


def parse(files: dict[str, str]) -> Atlas:
    """The atlas that ``render`` wrote."""
    (said,) = files.values()
    data = json.loads(said)
    return Atlas(
        data["name"],
        tuple(Page(**page) for page in data["pages"]),
        tuple(Frame(**_tuples(frame)) for frame in data["frames"]),
        tuple(Animation(**_tuples(animation)) for animation in data["animations"]),
        data["extrude"],
        data["padding"],
    )


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
