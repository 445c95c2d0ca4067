"""What an atlas is, whatever file says it: pages, frames on them, and animations of frames."""

import re
import unicodedata
from dataclasses import dataclass

from core.errors import AssetError
from core.system import portable_name, usable_name
from serving.assets.settings import check_choice, check_whole

LONGEST_NAME = 200  # characters
WAYS = ("forward", "reverse", "pingpong")
_DURATIONS = 1, 60_000  # milliseconds


@dataclass(frozen=True)
class Page:
    """A picture file beside the atlas's, and its size in pixels."""

    image: str
    width: int
    height: int


@dataclass(frozen=True)
class Frame:
    """A sprite's rectangle on a page, in pixels from its top left, and where it lies in the untrimmed source."""

    name: str
    page: int
    x: int
    y: int
    width: int
    height: int
    offset: tuple[int, int]  # from the source's left and top
    source: tuple[int, int]  # width and height
    pivot: tuple[float, float] | None = None  # shares of the source's width and height, from the top left
    borders: tuple[int, int, int, int] | None = None  # of nine slices, from the left, top, right and bottom

    @property
    def trimmed(self) -> bool:
        """Whether the source is larger than the rectangle."""
        return self.source != (self.width, self.height)


@dataclass(frozen=True)
class Animation:
    """Frames by name, and how long each is shown, in milliseconds."""

    name: str
    frames: tuple[str, ...]
    durations: tuple[int, ...]
    loop: bool = True
    way: str = "forward"

    def __post_init__(self) -> None:
        if not self.frames or len(self.frames) != len(self.durations):
            raise AssetError(f"animation {self.name!r} has {len(self.frames)} frames, {len(self.durations)} durations")
        for duration in self.durations:
            check_whole(f"a duration of animation {self.name!r}, in milliseconds,", duration, *_DURATIONS)
        check_choice("way", self.way, WAYS)


@dataclass(frozen=True)
class Atlas:
    """Pages, frames in order of their names, and animations, all with names that every program can hold."""

    name: str
    pages: tuple[Page, ...]
    frames: tuple[Frame, ...]
    animations: tuple[Animation, ...] = ()
    extrude: int = 0
    padding: int = 0

    def __post_init__(self) -> None:
        if not self.name or usable_name(portable_name(self.name)) != self.name or len(self.name) > LONGEST_NAME // 2:
            raise AssetError(f"an atlas cannot be called {self.name!r}: choose a name that a file can have")
        for kind, names in (
            ("sprite", [frame.name for frame in self.frames]),
            ("animation", [animation.name for animation in self.animations]),
        ):
            for name in names:
                check_name(kind, name)
            if twice := first_twice(names):
                raise AssetError(f"two {kind}s are called {twice!r}: rename one")
        known = {frame.name for frame in self.frames}
        for animation in self.animations:
            if missing := [name for name in animation.frames if name not in known]:
                raise AssetError(f"animation {animation.name!r} shows {missing[0]!r}, which is no sprite of this atlas")


def check_name(kind: str, name: str) -> None:
    """Raise AssetError for a name that breaks files: empty, too long, blank at an end, or with what no font shows."""
    fault = ""
    if not name or name != name.strip():
        fault = "a name is not empty and has no blank at its ends"
    elif len(name) > LONGEST_NAME:
        fault = f"a name has at most {LONGEST_NAME} characters"
    elif any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp") for c in name):
        fault = "a name has no control, invisible or unassigned characters"
    elif name in ("__proto__", "__BASE"):
        fault = "JavaScript engines keep that name for themselves"
    if fault:
        raise AssetError(f"a {kind} cannot be called {name[:LONGEST_NAME]!r}: {fault}")


def first_twice(names: list[str]) -> str | None:
    """The first of ``names`` that was there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts names as people do: walk2 before walk10."""
    parts = re.split("([0-9]+)", name)
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)], name
