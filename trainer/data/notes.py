"""What an import has to say besides its pictures: a label and a sentence with a count, one row of the table each."""

from collections import Counter

Note = tuple[str, str]  # a label, and a sentence in which {n} is how many

FRAMES = ("animations", "{n}, of each the first frame alone: --frames all takes every one")
ALL_FRAMES = ("animations", "{n}, of each every frame")
COLOUR = ("colours", "{n} converted to sRGB from another colour profile")
GAMMA = ("colours", "{n} converted to sRGB from another gamma")
BAD_PROFILE = ("colours", "{n} with a colour profile that cannot be used: taken for sRGB")
PIXEL_ART = ("pixel art", "{n} enlarged by a whole factor with nearest: --resample lanczos would smooth them")
OURS = ("left out", "{n} made by Ganfoundry itself: sheets, curves, samples, packs, runs and bundles")
LINKS = ("linked folders", "{n} followed")
LOOPS = ("linked folders", "{n} left out: what they lead to is read already")
HIDDEN = ("hidden", "{n} left out whose names begin with a dot: rename those that should be in it")
ATLASES = ("atlases", "{n} cut by the frames in their JSON")


class Notes(Counter[Note]):
    """Counts of what was met, in the order in which it was first met."""

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Label and sentence of each, its count filled in."""
        return tuple((label, text.replace("{n}", f"{count:,}")) for (label, text), count in self.items())
