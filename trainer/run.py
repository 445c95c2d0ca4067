"""The run directory: what a training run leaves, and where.

runs/NAME/
  config.json            the settings, resolved
  log.jsonl              one line per log interval
  samples/000010000.png  previews on fixed seeds, named by images seen
  samples.gif progress.png losses.png
  checkpoints/           the full training state (trainer/state.py)
  generator.safetensors  the averaged generator, ready to export
  levels/16x16.safetensors  the averaged generator when it finished that level, of runs that grow
  generator.best.safetensors  the one of the least KID, where KID was taken
  evaluation.json evaluation.png  what 'evaluate' found
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import TrainingError
from core.files import write_atomic

_FILES = (
    *("config.json", "log.jsonl", "samples.gif", "progress.png", "losses.png"),
    *("generator.safetensors", "generator.best.safetensors", "evaluation.json", "evaluation.png"),
)
KID = "KID-lite0"  # under this name in the log


@dataclass(frozen=True)
class Run:
    """The paths of one run, and its log."""

    root: Path

    @property
    def config(self) -> Path:
        """The resolved settings."""
        return self.root / "config.json"

    @property
    def log(self) -> Path:
        """One JSON object a line."""
        return self.root / "log.jsonl"

    @property
    def samples(self) -> Path:
        """The folder of previews."""
        return self.root / "samples"

    @property
    def checkpoints(self) -> Path:
        """The folder of training states."""
        return self.root / "checkpoints"

    @property
    def generator(self) -> Path:
        """The averaged generator."""
        return self.root / "generator.safetensors"

    @property
    def levels(self) -> Path:
        """The folder of smaller generators, finished on the way."""
        return self.root / "levels"

    @property
    def board(self) -> Path:
        """What TensorBoard reads, where it was asked for."""
        return self.root / "tensorboard"

    @property
    def best(self) -> Path:
        """The averaged generator as it was when its KID was least."""
        return self.root / "generator.best.safetensors"

    def clear(self) -> None:
        """Delete what an earlier run left here, and nothing else."""
        for folder in (self.samples, self.checkpoints, self.levels, self.board):
            shutil.rmtree(folder, ignore_errors=True)
        for file in _FILES:
            (self.root / file).unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the folders of the run, so that what stands in their way is found before the work."""
        for folder in (self.samples, self.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Add one line to the log."""
        with self.log.open("a", encoding="utf-8") as file:
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
        """Forget the log lines and previews made after ``images_seen``: a continued run makes them again."""
        kept = [line for line in self.read_log() if line["images"] <= images_seen]
        if self.log.exists():
            write_atomic(self.log, "".join(json.dumps(line) + "\n" for line in kept))
        for moment, picture in self.previews():
            if moment > images_seen:
                picture.unlink()

    def preview(self, images_seen: int) -> Path:
        """Where the preview of that moment lies."""
        return self.samples / f"{images_seen:09d}.png"

    def previews(self) -> list[tuple[int, Path]]:
        """The previews there are as (images seen, path), oldest first."""
        return sorted((int(path.stem), path) for path in self.samples.glob("*.png") if path.stem.isdecimal())


def _entry(line: str) -> dict[str, Any] | None:
    """The log entry in a line, or None if it is not one."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and type(entry.get("images")) is int else None
