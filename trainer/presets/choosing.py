"""Which recipe a pack and a machine ask for, where nobody named one."""

from typing import NamedTuple

from trainer.data.cautions import FEW
from trainer.data.pack import PackInfo
from trainer.presets import resolve
from trainer.presets.about import REFERENCE

TRANSLATED = 128  # pixels: larger pictures are for the published networks, and a GPU
SMALL = 48  # pixels: up to this side two cores are done in minutes


class Choice(NamedTuple):
    """A preset, and why, in words."""

    preset: str
    why: str


def choose_for(info: PackInfo | None, gpu: bool, count: int = 0) -> Choice:
    """The preset for a pack of ``count`` images, or, where none is given, the one to look at first."""
    if info is None:
        return Choice(REFERENCE, "the one to begin with, where no pack says more")
    if info.sources is not None:
        return for_sources(info.sources.paired, gpu and max(info.height, info.width) > TRANSLATED)
    preset, why = choose(info.height, info.width, info.channels, gpu, count, len(info.classes))
    if info.classes and not resolve(preset).conditional:
        why += f"; the pack's {len(info.classes)} classes are learned with --conditional"
    return Choice(preset, why)


def for_sources(paired: bool, large: bool) -> Choice:
    """The preset that translates a pack's sources."""
    end = "" if large else "-cpu"
    if paired:
        return Choice(f"pix2pix{end}", "the pack has pairs of a source and an image")
    return Choice(f"cyclegan{end}", "the pack has sources and images that are no pairs")


def choose(height: int, width: int, channels: int, gpu: bool, count: int, classes: int) -> Choice:
    """The preset for ``count`` images of this size on a machine with a GPU or without.

    The figures that it follows are in benchmarks/RESULTS.md.
    """
    size = f"{width}x{height}"
    small = max(height, width) <= SMALL

    # The size of the classics
    if (height, width, channels) == (28, 28, 1):
        if classes:
            return Choice("cgan", "it is made for 28x28 in grey, and learns the pack's classes")
        return Choice("dcgan-28", "it is made for 28x28 in grey")

    # Few images, no GPU
    if small and count < FEW:
        return Choice("dcgan-cpu", f"of as few images of {size} as {count:,} it makes the most")
    if not gpu and small:
        return Choice("dcgan-cpu", f"for {size} without a GPU it gets furthest in a few minutes")
    if not gpu:
        return Choice("dcgan-cpu", f"for {size} without a GPU it is the quickest")

    # A GPU
    if small:
        return Choice("r3gan-cpu", f"for {size} it makes the cleanest outlines, and a GPU has it done in minutes")
    return Choice("stylegan-lite", f"it is made for a GPU and sizes such as {size}")
