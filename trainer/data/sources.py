"""Where pictures come from: folders and archives of images, sheets, atlases, idx sets. And what was left out."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from core.errors import ConfigError, DataError
from core.images import drop_idle_alpha, to_pillow
from trainer.data.atlas import Frame, cut_frames, frames_of
from trainer.data.grid import Layout, Pair, doubts
from trainer.data.idx import IdxSet, find_idx, read_images, read_labels
from trainer.data.labels import Labels, NoLabel, labels_by, no_labels
from trainer.data.listing import File, Listing, file_of, list_folder, list_zip, printable
from trainer.data.notes import ATLASES, OURS
from trainer.data.other_grids import fitting
from trainer.data.pairing import Key, stem_of
from trainer.data.reading import MadeByUs, read_pictures

Progress = Callable[[int, int], None]  # files (of an idx set: images) done, and in all
_MENDED = 5  # sheets whose cells do not fit are looked at for those that would
_LARGEST_JSON = 1 << 26  # bytes of an atlas


@dataclass
class Source:
    """The pictures of a folder, archive, file or idx set, and a record that grows while they are read.

    ``half`` is ``left`` or ``right`` where every picture is two side by side, of which one is meant; ``without`` is a
    folder whose files are none of these. A sheet of two is two sheets side by side.
    """

    path: Path
    layout: Layout | None = None
    labelled: str | None = None  # the way, as --labels has it
    frames: str = "first"
    progress: Progress = lambda *_: None
    half: str = ""
    without: Path | None = None
    labels: list[str] = field(default_factory=list)  # the class of each picture so far, or empty
    listing: Listing = field(default_factory=Listing)
    names: list[str] = field(default_factory=list)  # of each picture so far: its file, and which of that
    keys: list[Key] = field(default_factory=list)  # the same without endings, to find what belongs to it
    cells: dict[tuple[str, ...], Pair] = field(default_factory=dict)  # of each sheet, columns and rows
    classes_said: str = ""
    misfits: int = 0  # sheets that the layout does not fit
    doubted: list[tuple[str, str]] = field(default_factory=list)  # sheets that may be cut in the wrong places
    _atlases: dict[tuple[str, ...], list[Frame]] = field(default_factory=dict)
    _labelling: Labels = field(default_factory=no_labels)

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """The files that were not used, each with the reason, in the order of their names."""
        return self.listing.skipped

    def pictures(self) -> Iterator[Image.Image]:
        """Every picture in L, RGB or RGBA, in the order of the file names, then row by row of the sheet."""
        idx = find_idx(self.path)
        return self._from_files() if idx is None else self._from_idx(idx)

    def classes(self, labels: list[str]) -> tuple[str, ...]:
        """The classes among ``labels``: numbers by value, then names."""
        return tuple(sorted(set(labels), key=_rank))

    def _from_idx(self, idx: IdxSet) -> Iterator[Image.Image]:
        if self.layout or self.labelled or self.half:
            raise ConfigError(
                f"{idx.images} is an idx file: leave out --grid, --labels and --side-by-side, it has its own labels"
            )

        total, images = read_images(idx.images)
        if idx.labels:
            self.labels = [str(label) for label in read_labels(idx.labels, total)]
        for done, image in enumerate(images, 1):
            self.names.append(f"no. {done}")
            self.keys.append(Key((), done))
            yield to_pillow(image)
            self.progress(done, total)

    def _from_files(self) -> Iterator[Image.Image]:
        self.listing = self._listed()
        files = self._find_atlases(self.listing.files)
        if self.labelled:
            self._labelling = labels_by(self.labelled, self.path, files)
            self.classes_said = self._labelling.said
        files = [file for file in files if file.parts not in self._labelling.used]
        for done, file in enumerate(files, 1):
            yield from self._from_file(file)
            self.progress(done, len(files))

    def _listed(self) -> Listing:
        if self.path.is_dir():
            listing, apart = list_folder(self.path), self._apart()
            listing.files = [file for file in listing.files if not apart or file.parts[: len(apart)] != apart]
            return listing
        if zipfile.is_zipfile(self.path):
            return list_zip(self.path)
        if self.labelled == "folders":
            raise ConfigError(f"--labels folders needs a folder of class folders, and {self.path} is a file")
        return Listing([file_of(self.path)])

    def _apart(self) -> tuple[str, ...]:
        """The folders that lead to what is left out, if it lies in this one."""
        here, there = self.path.resolve(), self.without and self.without.resolve()
        return there.relative_to(here).parts if there and there.is_relative_to(here) else ()

    def _from_file(self, file: File) -> Iterator[Image.Image]:
        """The pictures of one file that have the class they need. What is wrong with the file alone is recorded."""
        several = self.layout is not None or self.frames == "all"
        for number, (name, picture) in enumerate(self._safely(file), 1):
            parts = (*file.parts[:-1], *name.split("/")) if name else file.parts
            try:
                label = self._labelling.of(parts)
            except NoLabel as error:
                self.skipped.append((printable("/".join(parts)), str(error)))
                continue
            if label is not None:
                self.labels.append(label)
            self.names.append(printable("/".join(parts)) + (f" no. {number}" if number > 1 and not name else ""))

            # What its partner is found by
            stem = stem_of(parts[-1], any_ending=not name)
            key = tuple(printable(part) for part in (*parts[:-1], stem))
            self.keys.append(Key(key, number if several and not name else 0))
            yield picture

    def _safely(self, file: File) -> Iterator[tuple[str, Image.Image]]:
        try:
            with closing(file.open()) as opened:
                for image in read_pictures(opened, file.parts[-1], self.frames, self.listing.notes):
                    yield from self._cut(image, file)
        except MadeByUs:
            self.listing.notes[OURS] += 1
        except DataError as error:
            self.skipped.append((file.name, str(error)))

    def _cut(self, image: Image.Image, file: File) -> Iterator[tuple[str, Image.Image]]:
        """The sprites of a sheet, with their names where they have any; else the picture itself."""
        frames = self._atlases.get(file.parts)

        # By a grid, by the atlas beside it, or not at all
        if self.layout is not None:
            image = self._meant(image)
            self._check_cells(image, self.layout)
            columns, rows = self.layout.starts(image)
            self.cells[tuple(map(printable, (*file.parts[:-1], stem_of(file.parts[-1]))))] = len(columns), len(rows)
            for cell in self.layout.cells(image):
                yield "", cell
            if doubt := doubts(image, self.layout):
                self.doubted.append((file.name, doubt))
        elif frames:
            self.listing.notes[ATLASES] += 1
            yield from ((name, self._meant(sprite)) for name, sprite in cut_frames(image, frames))
        else:
            yield "", self._meant(image)

    def _meant(self, image: Image.Image) -> Image.Image:
        """The half of a picture that is meant, or all of it. Raises DataError if it cannot be halved."""
        if not self.half:
            return image
        if image.width % 2:
            raise DataError(f"its width is odd ({image.width} pixels), so it has no middle to be split at")
        left = 0 if self.half == "left" else image.width // 2
        return drop_idle_alpha(image.crop((left, 0, left + image.width // 2, image.height)))

    def _check_cells(self, sheet: Image.Image, layout: Layout) -> None:
        """Raise DataError, with the grids that would fit, if the layout does not fit the sheet."""
        try:
            layout.starts(sheet)
        except DataError as error:
            self.misfits += 1
            if self.misfits > _MENDED:
                raise
            others = fitting(sheet, layout)
            mend = (
                f"{others} would fit" if others else "nothing near fits, so look at its cells, --margin and --spacing"
            )
            raise DataError(f"{error}: {mend}") from None

    def _find_atlases(self, files: list[File]) -> list[File]:
        """Remember the frames of every sheet that has them in a JSON beside it; the files without these JSONs."""
        if self.layout is not None:
            return files

        # JSONs beside the pictures, or beside the one picture
        known = {file.parts for file in files}
        beside = files if self.path.is_dir() or len(files) != 1 else [*files, *_json_beside(self.path)]

        used: set[tuple[str, ...]] = set()
        for file in beside:
            if not file.parts[-1].lower().endswith((".json", ".atlas")):
                continue
            for sheet, frames in self._frames_in(file).items():
                parts = _sheet_of(file.parts, sheet, known)
                if parts is not None:
                    self._atlases[parts] = frames
                    used.add(file.parts)
        return [file for file in files if file.parts not in used]

    def _frames_in(self, file: File) -> dict[str, list[Frame]]:
        try:
            with closing(file.open()) as opened:
                return frames_of(opened.read(_LARGEST_JSON).decode("utf-8-sig"))
        except UnicodeDecodeError:
            return {}
        except DataError as error:
            self.skipped.append((file.name, str(error)))
            return {}


def _sheet_of(parts: tuple[str, ...], sheet: str, known: set[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The sheet that the JSON at ``parts`` belongs to: the one it names, else the one of its own name."""
    stem = parts[-1].rpartition(".")[0]
    names = [sheet, *(f"{stem}{ending}" for ending in (".png", ".webp", ""))]
    return next((found for name in names if name and (found := (*parts[:-1], name)) in known), None)


def _json_beside(path: Path) -> list[File]:
    return [file_of(path.with_suffix(".json"))] if path.with_suffix(".json").is_file() else []


def _rank(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
