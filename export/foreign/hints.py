"""Hints on a graph from elsewhere: what nobody can see in it, as the options of ``export --from-onnx`` say it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.errors import ExportError

MOST_CLASSES = 100_000

Layout = Literal["NCHW", "NHWC"]
LatentKind = Literal["normal", "uniform", "sphere"]


@dataclass(frozen=True)
class ImportHints:
    """What nobody can see in a graph: what its values go from and to, and what its inputs mean.

    ``value_range`` becomes 0 and 255. ``fixed`` gives values to inputs that stay as they are; ``classes`` names the
    values of ``label``; ``premultiplied`` is whether colour was multiplied by alpha. ``size`` is height and width, of
    images that come as rows of numbers; ``codes`` and ``truncation`` name inputs that take these; ``latent_kind`` is
    what the latent is drawn from: standard normal, uniform from -1 to 1, or the unit sphere.

    ``source`` names an input that takes a picture to translate; ``source_range`` is ``value_range`` for that one (found
    by looking, else the same), ``source_layout`` its ``layout``, and ``source_size`` its height and width where the
    graph leaves them open.
    """

    value_range: tuple[float, float]
    latent: str | None = None
    image: str | None = None
    layout: Layout | None = None
    latent_dim: int | None = None
    label: str | None = None
    classes: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    premultiplied: bool = False
    size: tuple[int, int] | None = None
    codes: str | None = None
    truncation: str | None = None
    latent_kind: LatentKind = "normal"
    source: str | None = None
    source_range: tuple[float, float] | None = None
    source_layout: Layout | None = None
    source_size: tuple[int, int] | None = None


def parse_range(text: str, option: str = "--range") -> tuple[float, float]:
    """``"-1,1"`` as two numbers, the lower first."""
    try:
        low, high = map(float, text.split(","))
        if low < high:
            return low, high
    except ValueError:
        pass
    raise ExportError(f"{option} {text} is not two numbers, the lower first: write -1,1, 0,1 or 0,255")


def parse_classes(text: str) -> tuple[str, ...]:
    """``"cat,dog"`` as names; a number as that many, counted from 0; none of an empty text."""
    if text.strip().isdecimal() and 1 <= int(text) <= MOST_CLASSES:
        return tuple(map(str, range(int(text))))
    names = tuple(name.strip() for name in text.split(",")) if text.strip() else ()
    if len(set(names)) != len(names) or "" in names or len(names) > MOST_CLASSES:
        raise ExportError(
            f"--classes {text[:80]}: each class needs a name of its own, and there are {MOST_CLASSES} at most"
        )
    return names


def parse_fixed(texts: Iterable[str]) -> dict[str, str]:
    """``["psi=0.7"]`` as values by name."""
    pairs = [text.partition("=") for text in texts]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise ExportError(f"--fix {name}{sign}{value} is not NAME=VALUE")
    return {name: value for name, _, value in pairs}
