"""How images become a pack, as the command line has it, and which of that does not go together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ConfigError
from core.sizes import Size
from core.spec import AUTO, CHANNELS, FITS, RESAMPLINGS
from trainer.data.choosing import WAYS
from trainer.data.grid import Grid, Layout, Pair
from trainer.data.labels import check_labels

SIDES = ("left", "right")
HELD = 0.1  # of pairs and domains, unless another share is asked for


@dataclass(frozen=True)
class ImportOptions:
    """How images become a pack. ``grid``, ``margin`` and ``spacing`` are (width, height); None means found.

    ``resample`` None is lanczos, but nearest for pixel art that grows by a whole factor. Forcing 1 or 3 channels
    lays transparent pictures on white; forcing 4 makes the margins of ``pad`` transparent. ``duplicates`` and
    ``empty`` are ``drop`` or ``keep``, ``frames`` of an animation ``first`` or ``all``; ``labels`` is ``folders``, a
    list of labels or a pattern with {class} in it.

    Pairs have a source for each image: of its name in ``sources``, or beside it where ``side_by_side``. ``unpaired``
    makes two domains of the images and ``sources``. What is said of sources alone begins with ``source``; unless said
    it is as the images have it. ``held`` is the share held out, None for a tenth of pairs and domains and nothing of
    other images; ``group_by`` ends what names of variants have in common.
    Raises ConfigError in the words of the command line.
    """

    size: Size
    fit: str = "pad"
    resample: str | None = None
    channels: int | None = None
    grid: Grid | None = None
    margin: Pair = (0, 0)
    spacing: Pair = (0, 0)
    frames: str = "first"
    labels: str | None = None
    duplicates: str = "drop"
    empty: str = "drop"
    strict: bool = False
    name: str = ""
    licence: str = ""
    attribution: str = ""
    overwrite: bool = False
    sources: Path | None = None
    side_by_side: bool = False
    source_side: str | None = None
    unpaired: bool = False
    source_size: Size | None = None
    source_channels: int | None = None
    source_grid: Grid | None = None
    sources_licence: str = ""
    sources_attribution: str = ""
    held: float | None = None
    group_by: str = ""

    def __post_init__(self) -> None:
        _one_of("--fit", self.fit, FITS)
        if self.resample is not None:
            _one_of("--resample", self.resample, RESAMPLINGS)

        # Of a list of choices each
        for flag, channels in (("--channels", self.channels), ("--source-channels", self.source_channels)):
            if channels is not None:
                _one_of(flag, channels, CHANNELS)
        for flag, value in (("--duplicates", self.duplicates), ("--empty", self.empty)):
            _one_of(flag, value, WAYS)
        _one_of("--frames", self.frames, ("first", "all"))
        if self.labels is not None:
            check_labels(self.labels)

        # What hangs together
        self._check_grids()
        self._check_sources()
        if self.group_by and not self.share:
            raise ConfigError("--group-by keeps variants on one side of what is held out: give --held 10% too")

    @property
    def has_sources(self) -> bool:
        """Whether a pack of pairs or of two domains is made."""
        return self.sources is not None or self.side_by_side

    @property
    def share(self) -> float:
        """How much is held out."""
        return (HELD if self.has_sources else 0) if self.held is None else self.held

    @property
    def size_of_sources(self) -> Size:
        """The size that sources get."""
        return self.source_size or self.size

    @property
    def layout(self) -> Layout | None:
        """How sheets are cut, if they are."""
        return None if self.grid is None else Layout(self.grid, self.margin, self.spacing)

    @property
    def layout_of_sources(self) -> Layout | None:
        """The same for sheets of sources: with cells of another size, what is around and between them is, too."""
        if self.grid is None or self.source_grid is None:
            return self.layout
        gaps = [_in_proportion(gap, self.grid, self.source_grid) for gap in (self.margin, self.spacing)]
        return Layout(self.source_grid, *gaps)

    def half_of(self, source: bool) -> str:
        """The half of each picture that is a source, or an image; "" where pictures are not two."""
        side = self.source_side or SIDES[0]
        return "" if not self.side_by_side else side if source else SIDES[1 - SIDES.index(side)]

    def facts(self) -> dict[str, Any]:
        """What decided the pixels, for ``dataset.json``."""
        grid = self.grid and f"{self.grid[0]}x{self.grid[1]}"
        facts = {"fit": self.fit, "resample": self.resample or AUTO, "channels": self.channels, "grid": grid}
        gaps = {"margin": self.margin, "spacing": self.spacing}
        facts |= {name: f"{gap[0]}x{gap[1]}" for name, gap in gaps.items() if any(gap)}
        usual = {"frames": "first", "labels": None, "duplicates": "drop", "empty": "drop", "group_by": ""}
        facts |= {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        if self.source_grid:
            facts["source_grid"] = f"{self.source_grid[0]}x{self.source_grid[1]}"
        if self.side_by_side:
            facts["source_side"] = self.half_of(source=True)
        return facts | ({"held": f"{100 * self.share:g}%"} if self.share else {})

    def _check_grids(self) -> None:
        for flag, grid in (("--grid", self.grid), ("--source-grid", self.source_grid)):
            if grid is not None and min(grid) < 1:
                raise ConfigError(f"{flag} {grid[0]}x{grid[1]} has no pixels: write WIDTHxHEIGHT, 32x32")
        if self.grid is None and any(self.margin + self.spacing):
            raise ConfigError("--margin and --spacing are of the cells of a sheet: give --grid too")
        if self.source_grid is not None and (self.grid is None or self.sources is None):
            raise ConfigError("--source-grid is of sheets of sources whose cells differ: give --grid and --sources too")

    def _check_sources(self) -> None:
        if self.side_by_side and (self.sources or self.unpaired):
            other = "--unpaired" if self.unpaired else "--sources"
            raise ConfigError(f"--side-by-side finds both of a pair in one image: leave out {other}")
        if self.unpaired and not self.sources:
            raise ConfigError(
                "--unpaired makes two domains, of IMAGES and of another folder: give --sources FOLDER too"
            )
        if self.source_side is not None:
            _one_of("--source-side", self.source_side, SIDES)
            if not self.side_by_side:
                raise ConfigError("--source-side is of images that hold both of a pair: give --side-by-side too")

        # Nothing is said of sources that are not there
        given = {
            "--source-size": self.source_size,
            "--source-channels": self.source_channels,
            "--sources-licence": self.sources_licence,
            "--sources-attribution": self.sources_attribution,
        }
        if not self.has_sources and (flag := next((flag for flag, value in given.items() if value), "")):
            raise ConfigError(f"{flag} is of the sources of pairs: give --sources FOLDER or --side-by-side too")


def _in_proportion(gap: Pair, cell: Pair, other: Pair) -> Pair:
    return gap[0] * other[0] // cell[0], gap[1] * other[1] // cell[1]


def _one_of(flag: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{flag} must be {' or '.join(map(str, allowed))}, not {value}")
