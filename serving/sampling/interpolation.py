"""Ways through latents and styles: where each frame of an animation is, and what lies between two points."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Between = Callable[[Array, Array, float], Array]


class Place(NamedTuple):
    """``share`` of the way from the corner with index ``start`` to that with index ``end``; 0 is the corner itself."""

    start: int
    end: int
    share: float


def walk(corners: int, frames: int, loop: bool = False) -> list[Place]:
    """Where each of ``frames`` frames is on the way from corner to corner, the first and last included.

    Every corner is met exactly, so the frames are shared out to the ways between them as evenly as whole numbers
    allow. With ``loop`` the last way leads back to the first corner, whose frame is not repeated. ``frames`` is at
    least ``corners``, and there are two corners or more.
    """
    ways = corners if loop else corners - 1
    steps = frames if loop else frames - 1
    met = [way * steps // ways for way in range(ways + 1)]  # the frame at which each corner is met
    places = [
        Place(way, (way + 1) % corners, step / (met[way + 1] - met[way]))
        for way in range(ways)
        for step in range(met[way + 1] - met[way])
    ]
    return places if loop else [*places, Place(corners - 1, corners - 1, 0.0)]


def follow(points: Array, places: list[Place], between: Between) -> Array:
    """The point at each place, ``(len(places), …)``; at a corner exactly that of ``points`` ``(corners, …)``."""
    return np.stack(
        [points[start] if share == 0 else between(points[start], points[end], share) for start, end, share in places]
    )


def lerp(a: Array, b: Array, share: float) -> Array:
    """On the straight line from ``a`` to ``b``: as one goes in w."""
    return (a + share * (b.astype(np.float64) - a)).astype(np.float32)


def slerp(a: Array, b: Array, share: float) -> Array:
    """On the arc from ``a`` to ``b`` ``(d,)``: as one goes in z, where the straight line is improbably short.

    Shoemake 1985 (Animating rotation with quaternion curves, section 3.3) for the direction, the length changing
    evenly. His sin((1-t)Ω)/sin Ω breaks down for parallel and opposite directions; cos(tΩ) a + sin(tΩ) u, with u
    the unit vector at right angles to a towards b, is the same and does not. Opposite directions have no one u: any
    is taken, always the same.
    """
    lengths = _length(a), _length(b)
    if min(lengths) == 0:
        return lerp(a, b, share)

    # u, and the sine and cosine of the angle Ω between the two.
    direction = a.astype(np.float64) / lengths[0]
    target = b.astype(np.float64) / lengths[1]
    sideways = _away(target, direction)
    sine, cosine = _length(sideways), _dot(direction, target)
    if sine < 1e-7:  # what is left is rounding
        axis = np.zeros_like(direction)
        axis[np.abs(direction).argmin()] = 1
        sideways = _away(axis, direction)

    # cos(tΩ) a + sin(tΩ) u, in its length.
    angle = share * math.atan2(sine, cosine)
    unit = sideways / max(_length(sideways), 1e-300)  # one dimension has no sideways
    length = (1 - share) * lengths[0] + share * lengths[1]
    return (length * (math.cos(angle) * direction + math.sin(angle) * unit)).astype(np.float32)


def _dot(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.dot(a.astype(np.float64), b))


def _length(vector: NDArray[Any]) -> float:
    return math.sqrt(_dot(vector, vector))


def _away(vector: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """What of ``vector`` is at right angles to the unit vector ``direction``."""
    return vector - _dot(vector, direction) * direction
