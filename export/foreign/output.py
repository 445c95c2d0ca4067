"""The output of a foreign generator: where its images have their channels, and what its values go from and to."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from core.errors import ExportError
from core.spec import CHANNELS
from export.foreign.hints import ImportHints, Layout
from export.foreign.pictures import layout_of
from export.onnx_graph import array_of, constant_tensors

FLAT = 4 / 255  # of the range: no picture has fewer levels than that in everything that was tried
MOST_CUT_OFF = 0.5  # of all values: what loses more is no picture any more
MOST_AGAINST_OPERATOR = 0.25  # where the last operator says that the range is another one
USUAL = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0))

_MOVES = ("Reshape", "Transpose", "Identity", "Cast", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Resize", "Floor")
_ENDS = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0), "Erf": (-1.0, 1.0), "HardSigmoid": (0.0, 1.0)}


def image_sides(shape: tuple[int, ...], hints: ImportHints) -> tuple[Layout, tuple[int, ...]]:
    """Where the channels are, and the three sides of an image in that order, of values ``shape``, batch first.

    Raises ExportError where they are no picture, or may be several.
    """
    sides = shape[1:]
    if hints.size:
        return _sized(sides, hints, *hints.size)

    if len(sides) == 2 and min(sides) > max(CHANNELS):
        return "NCHW", (1, *sides)
    if len(sides) != 3:
        raise ExportError(
            f"the graph makes values {list(sides)} for an image, not three sides: say --size WIDTHxHEIGHT, or choose "
            "another --image"
        )

    what = f"the graph makes images {list(sides)}, with"
    return hints.layout or layout_of(sides, what, "say --layout, or choose another --image"), sides


def _sized(sides: tuple[int, ...], hints: ImportHints, height: int, width: int) -> tuple[Layout, tuple[int, ...]]:
    channels, rest = divmod(math.prod(sides), height * width)
    if rest or channels not in CHANNELS:
        raise ExportError(f"the graph makes values {list(sides)} for an image, which are not --size {width}x{height}")

    # Both orders that these sides could be, without those that they are not
    orders: dict[Layout, tuple[int, ...]] = {"NCHW": (channels, height, width), "NHWC": (height, width, channels)}
    fit: list[Layout] = [layout for layout, order in orders.items() if len(sides) < 3 or order == sides]
    if len(sides) == 2 and channels > 1:
        fit = [layout for layout, at in zip(orders, (0, 1), strict=True) if sides[at] == channels]
    if hints.layout:
        fit = [layout for layout in fit if layout == hints.layout]

    if not fit:
        raise ExportError(f"the graph makes values {list(sides)} for an image, which are not --size {width}x{height}")
    if len(fit) > 1 and channels > 1:
        raise ExportError(f"the graph makes values {list(sides)} for an image: say --layout too, NCHW or NHWC")
    return fit[0], orders[fit[0]]


def check_range(model: ModelProto, image: str, values: NDArray[Any], value_range: tuple[float, float]) -> str | None:
    """A line to say where the last operator's range is not ``value_range``; None where nothing speaks against that.

    Raises ExportError, naming the range that fits, where pictures would be flat or cut off beyond doubt.
    """
    low, high = value_range
    cut = float(((values < low) | (values > high)).mean())
    seen = np.clip(values, low, high)
    flat = float(seen.max() - seen.min()) < FLAT * (high - low)
    ending = last_range(model, image)
    other = ending is not None and not np.allclose(ending, value_range)

    if flat or cut > MOST_CUT_OFF or (other and cut > MOST_AGAINST_OPERATOR):
        what = "pictures would be flat" if flat else f"{cut:.0%} of the values would be cut off"
        raise ExportError(f"with --range {low:g},{high:g} {what}: {_fitting(values, ending)}")
    if other and ending is not None:
        return (
            f"the graph ends in values from {ending[0]:g} to {ending[1]:g}: where pictures look pale, export with "
            f"--range {ending[0]:g},{ending[1]:g}"
        )
    return None


def _fitting(values: NDArray[Any], ending: tuple[float, float] | None) -> str:
    least, most = float(values.min()), float(values.max())
    seen = f"its values are {least:.3g} to {most:.3g}"
    if ending is not None:
        low, high = ending
        return f"{seen}, and its last operator gives {low:g} to {high:g}: say --range {low:g},{high:g}"

    for low, high in (USUAL[1], USUAL[0], USUAL[2]):
        room = 0.05 * (high - low)
        if low - room <= least and most <= high + room and most - least > 10 * FLAT * (high - low):
            return f"{seen}: say --range {low:g},{high:g}"

    if most - least < 1e-6 * max(abs(most), 1):
        return f"{seen}, the same everywhere: it makes no picture of these inputs"
    return f"{seen}: say --range {least:.3g},{most:.3g}, or what they should go from and to"


def last_range(model: ModelProto, image: str) -> tuple[float, float] | None:
    """What the last operator's values go from and to, moved by the constants after it; None where it does not say."""
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = constant_tensors(model.graph)

    def number(name: str) -> float | None:
        found = array_of(constants.get(name))
        return float(found.reshape(-1)[0]) if found is not None and found.size == 1 else None

    steps: list[tuple[str, float]] = []
    node = makers.get(image)
    while node is not None and len(steps) < 64:
        if (found := _end(node, number)) is not None:
            return _moved(found, steps[::-1])
        step = _step(node, number)
        if step is None:
            return None
        source, operator, value = step
        steps.append((operator, value))
        node = makers.get(source)
    return None


def _end(node: NodeProto, number: Any) -> tuple[float, float] | None:
    if node.op_type != "Clip":
        return _ENDS.get(node.op_type)
    old = {a.name: a.f for a in node.attribute}
    low = old.get("min") if "min" in old else number(node.input[1]) if len(node.input) > 1 else None
    high = old.get("max") if "max" in old else number(node.input[2]) if len(node.input) > 2 else None
    return None if low is None or high is None or low >= high else (low, high)


def _step(node: NodeProto, number: Any) -> tuple[str, str, float] | None:
    """What ``node`` is made of, and how a constant moves it."""
    if node.op_type in _MOVES:
        return node.input[0], "", 0.0
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    first, second = (number(name) for name in node.input[:2])
    if second is not None:
        return node.input[0], node.op_type, second
    return None if first is None or node.op_type in ("Sub", "Div") else (node.input[1], node.op_type, first)


def _moved(ends: tuple[float, float], steps: list[tuple[str, float]]) -> tuple[float, float] | None:
    moves = {"Add": lambda a, b: a + b, "Sub": lambda a, b: a - b, "Mul": lambda a, b: a * b, "Div": lambda a, b: a / b}
    low, high = ends
    for operator, value in steps:
        if operator:
            if operator == "Div" and not value:
                return None
            low, high = moves[operator](low, value), moves[operator](high, value)
    low, high = sorted((round(low, 4), round(high, 4)))
    return (low, high) if low < high else None
