"""Where pictures come from: folders of images, sprite sheets, idx sets. And what was left out on the way."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from core.errors import ConfigError, DataError
from core.images import to_pillow
from trainer.data.grid import Grid, cells, check_grid, identity, is_empty
from trainer.data.idx import IdxSet, find_idx, read_images, read_labels
from trainer.data.reading import read_image

Progress = Callable[[int, int], None]  # files (of an idx set: images) done, and in all


@dataclass
class Source:
    """The pictures of a folder, file or idx set, and a record that grows while they are read."""

    path: Path
    grid: Grid | None
    by_folder: bool
    progress: Progress
    labels: list[str] = field(default_factory=list)  # the class of each picture so far, or empty
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (relative path, reason)
    empty_cells: int = 0
    duplicate_cells: int = 0
    _seen: set[tuple[str, bytes]] = field(default_factory=set)

    def pictures(self) -> Iterator[Image.Image]:
        """Every picture in L, RGB or RGBA, in the order of the file names, then row by row of the sheet."""
        idx = find_idx(self.path)
        return self._from_files() if idx is None else self._from_idx(idx)

    def classes(self) -> tuple[str, ...]:
        """The classes that have pictures: numbers by value, then names."""
        return tuple(sorted(set(self.labels), key=_rank))

    def _from_idx(self, idx: IdxSet) -> Iterator[Image.Image]:
        if self.grid or self.by_folder:
            raise ConfigError(f"{idx.images} is an idx file: leave out --grid and --labels, it has its own labels")
        total, images = read_images(idx.images)
        if idx.labels:
            self.labels = [str(label) for label in read_labels(idx.labels, total)]
        for done, image in enumerate(images, 1):
            yield to_pillow(image)
            self.progress(done, total)

    def _from_files(self) -> Iterator[Image.Image]:
        if self.by_folder and not self.path.is_dir():
            raise ConfigError(f"--labels folders needs a folder of class folders, and {self.path} is a file")
        root = self.path if self.path.is_dir() else self.path.parent
        files = self._listed() if self.path.is_dir() else [self.path]
        for done, path in enumerate(files, 1):
            name = printable(path.relative_to(root).as_posix())
            image = self._read(path, name)
            if image is not None:
                yield from self._cut(image, self._class_of(name))
            self.progress(done, len(files))

    def _listed(self) -> list[Path]:
        """All files under the folder, sorted, without what begins with a dot. Linked folders are not followed."""
        found: list[Path] = []
        for folder, folders, names in os.walk(self.path, onerror=self._skip_folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(folder, name) for name in names if not name.startswith(".")]
        return sorted(found, key=lambda path: path.parts)

    def _skip_folder(self, error: OSError) -> None:
        name = os.path.relpath(error.filename, self.path)
        self.skipped.append((printable(name), f"cannot be read: {error.strerror}"))

    def _read(self, path: Path, name: str) -> Image.Image | None:
        try:
            image = read_image(path)
            if self.grid is not None:
                check_grid(image, self.grid)
        except DataError as error:
            self.skipped.append((name, str(error)))
            return None
        return image

    def _class_of(self, name: str) -> str | None:
        if not self.by_folder:
            return None
        folder, inside, _ = name.partition("/")
        if not inside:
            raise DataError(f"{name} lies outside the class folders: move it into one, or leave out --labels folders")
        return folder

    def _cut(self, image: Image.Image, label: str | None) -> Iterator[Image.Image]:
        for picture in [image] if self.grid is None else cells(image, self.grid):
            if self.grid is None or self._is_new(picture, label or ""):
                if label is not None:
                    self.labels.append(label)
                yield picture

    def _is_new(self, cell: Image.Image, label: str) -> bool:
        """Whether a cell holds something not seen in its class yet; counts it if not."""
        if is_empty(cell):
            self.empty_cells += 1
            return False
        key = (label, identity(cell))
        if key in self._seen:
            self.duplicate_cells += 1
            return False
        self._seen.add(key)
        return True


def _rank(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def printable(text: str) -> str:
    """A file name fit for one line of UTF-8, whatever bytes it is made of."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
