"""A chain of steps: data in a file, a key for a cache, and the sprites that come out."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import AssetError
from core.images import Images
from serving.assets.settings import check_choice, settings_of
from serving.assets.sprite import Sprite
from serving.assets.steps import STEPS

FORMAT = 1  # goes up when a step gives other pixels for the same settings
MOST_STEPS = 64


@dataclass(frozen=True)
class Chain:
    """Steps by name, with their settings, in order."""

    steps: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Raises AssetError where a step comes after another that it would undo."""
        if len(self.steps) > MOST_STEPS:
            raise AssetError(f"{len(self.steps)} steps are too many: give at most {MOST_STEPS}")
        done = ""
        for number, (name, _) in enumerate(self.steps, 1):
            if done and STEPS[name].moves:
                raise AssetError(f"step {number} ({name}) moves pixels that {done} has placed: put {done} after it")
            if name == "premultiply" and number < len(self.steps):
                raise AssetError("premultiply must be the last step: all others take straight alpha")
            done = name if STEPS[name].places else done

    @classmethod
    def of(cls, data: object, folder: Path) -> "Chain":
        """The chain that a file in ``folder`` lists: names, or tables of a ``step`` and its settings.

        ``["threshold", {step = "enlarge", times = 2}]``. Raises AssetError that says which step is wrong.
        """
        if not isinstance(data, list):
            raise AssetError("steps must be a list, such as ['threshold', {step = 'enlarge', times = 2}]")
        return cls(tuple(_step(number, entry, folder) for number, entry in enumerate(data, 1)))

    def run(self, pictures: Sequence[Images]) -> list[Sprite]:
        """The sprites of grey, RGB or RGBA ``(height, width, channels)`` pictures, which go through together."""
        sprites = [Sprite.of(picture) for picture in pictures]
        for name, settings in self.steps:
            sprites = STEPS[name].apply(sprites, settings)
        return sprites

    def key(self) -> str:
        """A sha256 of all that decides about the pixels: two chains of one key do the same to the same pictures."""
        listed = [[name, asdict(settings)] for name, settings in self.steps]
        return hashlib.sha256(json.dumps([FORMAT, listed], sort_keys=True).encode()).hexdigest()


def _step(number: int, entry: object, folder: Path) -> tuple[str, Any]:
    table: Mapping[str, Any] = entry if isinstance(entry, dict) else {"step": entry}
    name = table.get("step")
    if not isinstance(name, str):
        raise AssetError(f"step {number} is {entry!r}: give a name, or a table with step = 'NAME'")
    try:
        check_choice("step", name, STEPS)
        settings = {key: value for key, value in table.items() if key != "step"}
        return name, settings_of(STEPS[name].settings, STEPS[name].load(settings, folder))
    except AssetError as error:
        raise AssetError(f"step {number} ({name}): {error}") from None
    except TypeError:  # a setting without a default is missing
        raise AssetError(f"step {number} ({name}) needs a setting: {_required(name)}") from None


def _required(name: str) -> str:
    """The settings of a step that have no default."""
    kind = STEPS[name].settings
    return ", ".join(field for field in kind.__dataclass_fields__ if not hasattr(kind, field))
