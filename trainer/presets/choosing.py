"""Which recipe a pack and a machine ask for, where nobody named one."""

from typing import NamedTuple

from trainer.data.pack import PackInfo
from trainer.presets.about import REFERENCE

SMALL = 48  # pixels: up to this side two cores are done in minutes


class Choice(NamedTuple):
    """A preset, and why, in words."""

    preset: str
    why: str


def choose_for(info: PackInfo | None, gpu: bool) -> Choice:
    """The preset for a pack, or, where none is given, the one to look at first."""
    if info is None:
        return Choice(REFERENCE, "the one to begin with, where no pack says more")
    return choose(info.height, info.width, info.channels, gpu)


def choose(height: int, width: int, channels: int, gpu: bool) -> Choice:
    """The preset for images of this size on a machine with a GPU or without; figures are in benchmarks/RESULTS.md."""
    size, small = f"{width}x{height}", max(height, width) <= SMALL
    if (height, width, channels) == (28, 28, 1):
        return Choice("dcgan-28", "it is made for 28x28 in grey")
    if not gpu and small:
        return Choice("dcgan-cpu", f"for {size} without a GPU it gets furthest in a few minutes")
    if not gpu:
        return Choice("dcgan-cpu", f"for {size} without a GPU it is the quickest")
    if small:
        return Choice("r3gan-cpu", f"for {size} it makes the cleanest outlines, and a GPU has it done in minutes")
    return Choice("stylegan-lite", f"it is made for a GPU and sizes such as {size}")
