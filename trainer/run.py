"""The run folder as training writes it: its paths, its log, and what of it is ours to replace (core/run.py: names)."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import TrainingError
from core.files import write_atomic
from core.ours import is_ours
from core.run import (
    BEST,
    CHECKPOINTS,
    CONFIG,
    EVALUATION,
    EVALUATION_SHEET,
    FILES,
    FOLDERS,
    GENERATOR,
    LEVELS,
    LOG,
    SAMPLES,
    TENSORBOARD,
    sibling,
)
from trainer.mark import MARK, PREVIEW, check_out, delete_state, holds_a_state, is_by_us, note, states, written

KID, L1 = "KID-lite0", "L1-validation"  # what a run is judged by, under these names in the log: less is better
METRICS = (KID, L1)


@dataclass(frozen=True)
class Run:
    """The paths of one run, and its log."""

    root: Path

    @property
    def config(self) -> Path:
        """The resolved settings."""
        return self.root / CONFIG

    @property
    def log(self) -> Path:
        """One JSON object a line."""
        return self.root / LOG

    @property
    def samples(self) -> Path:
        """The folder of previews."""
        return self.root / SAMPLES

    @property
    def checkpoints(self) -> Path:
        """The folder of training states."""
        return self.root / CHECKPOINTS

    @property
    def generator(self) -> Path:
        """The averaged generator."""
        return self.root / GENERATOR

    def generators(self, names: Iterable[str]) -> list[Path]:
        """The averaged generators of a run that has several, such as there and back: the first is ``generator``."""
        _, *others = names
        return [self.generator, *(sibling(self.generator, name) for name in others)]

    @property
    def levels(self) -> Path:
        """The folder of smaller generators, finished on the way."""
        return self.root / LEVELS

    @property
    def board(self) -> Path:
        """What TensorBoard reads, where it was asked for."""
        return self.root / TENSORBOARD

    @property
    def best(self) -> Path:
        """The averaged generator as it was when its KID, or L1, was least."""
        return self.root / BEST

    def best_of(self, names: Iterable[str]) -> list[Path]:
        """The same of each of several generators: the first is ``best``."""
        _, *others = names
        return [self.best, *(sibling(self.best, name) for name in others)]

    def check(self) -> None:
        """Raise TrainingError unless the folder is ours, or new, or empty."""
        check_out(self.root)

    def prepare(self) -> None:
        """Mark the folder and make those in it, so that what stands in their way is found before the work."""
        self.claim(*(self.root / name for name in FILES))
        for folder in (self.samples, self.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)

    def claim(self, *paths: Path) -> None:
        """Note that we write ``paths``. Raises TrainingError for one that is there and is not ours."""
        ours, names = self.written(), {path.relative_to(self.root).as_posix(): path for path in paths}
        for name in names.keys() - ours:
            if os.path.lexists(names[name]) and not is_by_us(names[name]):
                raise TrainingError(f"{names[name]} is in the way, and this run did not write it: move it elsewhere")
        if not names.keys() <= ours or not (self.root / MARK).exists():
            note(self.root, {*ours, *names})

    def written(self) -> set[str]:
        """The names of what this run wrote, relative to its folder, whether or not they are still there."""
        return written(self.root) or set()

    def clear(self) -> None:
        """Delete what an earlier run wrote here, and nothing else."""
        for name in self.written():
            (self.root / name).unlink(missing_ok=True)
        for name in (EVALUATION, EVALUATION_SHEET):  # by 'evaluate', which leaves no note
            if is_ours(self.root / name):
                (self.root / name).unlink()
        aside = [path for path in self.checkpoints.glob("*.damaged") if holds_a_state(path)]
        for state in (*states(self.checkpoints), *aside):
            delete_state(state)
        for folder in FOLDERS:
            with suppress(OSError):  # it is not there, or holds what is not ours
                (self.root / folder).rmdir()

    def contents(self) -> str:
        """What ``clear`` would delete, in a few words."""
        there = sum((self.root / name).is_file() for name in self.written())
        kept = [int(state.name) for state in states(self.checkpoints)]
        newest = f", the newest after {max(kept):,} images" if kept else ""
        return f"{len(kept)} saved states{newest}, and {there} files"

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Add one line to the log."""
        with self.log.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """The log's lines in order. A last line cut off by a crash is left out."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        whole: list[dict[str, Any]] = []
        for number, line in enumerate(lines, 1):
            entry = _entry(line)
            if entry is not None:
                whole.append(entry)
            elif number < len(lines):
                raise TrainingError(f"{self.log} line {number} is damaged: delete that line")
        return whole

    def rewind(self, images_seen: int) -> None:
        """Forget the log lines and previews made after ``images_seen``: a continued run makes them again.

        Raises TrainingError, with nothing forgotten, for a preview of later that is not of this run.
        """
        later, ours = [picture for moment, picture in self.previews() if moment > images_seen], self.written()
        for picture in later:
            if picture.relative_to(self.root).as_posix() not in ours:
                raise TrainingError(f"{picture} is in the way, and this run did not write it: move it elsewhere")
        kept = [line for line in self.read_log() if line["images"] <= images_seen]
        if self.log.exists():
            write_atomic(self.log, "".join(json.dumps(line) + "\n" for line in kept))
        for picture in later:
            picture.unlink()

    def preview(self, images_seen: int) -> Path:
        """Where the preview of that moment lies."""
        return self.samples / f"{images_seen:09d}.png"

    def previews(self) -> list[tuple[int, Path]]:
        """The previews there are as (images seen, path), oldest first."""
        return sorted((int(path.stem), path) for path in self.samples.glob("*.png") if PREVIEW.fullmatch(path.stem))


def _entry(line: str) -> dict[str, Any] | None:
    """The log entry in a line, or None if it is not one."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and type(entry.get("images")) is int else None
