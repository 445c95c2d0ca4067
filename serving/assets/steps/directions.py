"""Sets of pictures that look 4 or 8 ways, of fewer that are told which way they look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from core.errors import AssetError
from core.images import Images
from serving.assets.settings import check_choice
from serving.assets.sprite import Sprite
from serving.assets.steps.turning import Flip, Turn, flip, turn

COMPASS = ("n", "ne", "e", "se", "s", "sw", "w", "nw")  # clockwise from up, in eighths of a turn
SETS = {4: COMPASS[::2], 8: COMPASS}
VIEWS = ("side", "above")


@dataclass(frozen=True)
class Directions:
    """The picture looks ``looks`` ("e" is right, "sw" down and left); from it come all ways that it can look.

    Seen from the "side", up stays up: what looks right is mirrored and looks left. Seen from "above", a picture may be
    turned by quarters too.
    """

    looks: str
    view: str = "side"

    def __post_init__(self) -> None:
        check_choice("looks", self.looks, COMPASS)
        check_choice("view", self.view, VIEWS)


def directions(sprites: Sequence[Sprite], settings: Directions) -> list[Sprite]:
    """For each sprite one for every way that it can look, clockwise from up."""
    every = []
    for sprite in sprites:
        seen = ways({settings.looks: sprite.whole()}, settings.view)
        for way, picture in seen.items():
            size = picture.shape[1], picture.shape[0]
            every.append(replace(sprite, pixels=picture, source=size, offset=(0, 0), direction=way))
    return every


def ways(pictures: Mapping[str, Images], view: str = "side") -> dict[str, Images]:
    """All ways to look that ``pictures`` give, clockwise from up. A picture that was given is never replaced.

    What can be mirrored is mirrored, for light stays above; what cannot is turned, by the least angle, clockwise first.
    """
    made = dict(pictures)
    for way, picture in pictures.items():
        made.setdefault(_mirrored(way), flip(picture, Flip("left-right")))
    if view == "above":
        for quarters in (1, 3, 2):
            for way, picture in tuple(made.items()):
                made.setdefault(_turned(way, quarters), turn(picture, Turn(90 * quarters)))
    return {way: made[way] for way in COMPASS if way in made}


def direction_set(pictures: Mapping[str, Images], count: int, view: str = "side") -> dict[str, Images]:
    """The 4 or 8 ways to look, clockwise from up. Raises AssetError that says what is missing."""
    check_choice("count", count, SETS)
    for way in pictures:
        check_choice("looks", way, COMPASS)
    made = ways(pictures, view)
    if missing := [way for way in SETS[count] if way not in made]:
        have = ", ".join(pictures) or "none"
        raise AssetError(
            f"pictures that look {have} give no set of {count}: add one that looks {missing[0]}"
            + ("" if view == "above" else ', or say view = "above" if it may be turned')
        )
    return {way: made[way] for way in SETS[count]}


def _mirrored(way: str) -> str:
    return COMPASS[-COMPASS.index(way) % 8]


def _turned(way: str, quarters: int) -> str:
    return COMPASS[(COMPASS.index(way) + 2 * quarters) % 8]
