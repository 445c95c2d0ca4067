"""The run folder: what training leaves, by name, for everyone who reads it. Names only, so it costs nothing to import.

runs/NAME/
  ganfoundry-run.json    the mark: whose folder this is, and what we wrote into it (trainer/mark.py)
  config.json            the settings, resolved
  log.jsonl              one line per log interval
  samples/000010000.png  previews on fixed seeds, named by images seen
  samples.gif progress.png losses.png
  checkpoints/           the full training state (trainer/state.py)
  generator.safetensors  the averaged generator, ready to export; generator.b2a.safetensors the one of the way back
  levels/16x16.safetensors  the averaged generator when it finished that level, of runs that grow
  generator.best.safetensors  the one of the least KID, or L1, where that was taken
  tensorboard/           what TensorBoard reads, where it was asked for
  evaluation.json evaluation.png  what 'evaluate' found
"""

from pathlib import Path

CONFIG = "config.json"
LOG = "log.jsonl"
PICTURES = ("samples.gif", "progress.png", "losses.png")
GENERATOR = "generator.safetensors"
BEST = "generator.best.safetensors"
EVALUATION = "evaluation.json"
EVALUATION_SHEET = "evaluation.png"
SAMPLES = "samples"
CHECKPOINTS = "checkpoints"
LEVELS = "levels"
TENSORBOARD = "tensorboard"

A_TO_B, B_TO_A = "a2b", "b2a"  # the directions of a run that learns two: the first is GENERATOR


def sibling(generator: Path, name: str) -> Path:
    """Where another generator of the same moment is kept, such as ``generator.b2a.safetensors``."""
    return generator.with_name(f"{generator.stem}.{name}{generator.suffix}")


def back_of(generator: Path) -> Path:
    """Where the generator of the way back lies that was kept beside ``generator``, in runs that learn both."""
    return sibling(generator, B_TO_A)


def is_way_back(generator: Path) -> bool:
    """Whether the file is that of the way back, by its name."""
    return generator.stem.endswith(f".{B_TO_A}")


# What every run writes, or may, under names that do not change; and the folders for all else.
GENERATORS = (GENERATOR, back_of(Path(GENERATOR)).name, BEST, back_of(Path(BEST)).name)
FILES = (CONFIG, LOG, *PICTURES, *GENERATORS)
FOLDERS = (SAMPLES, CHECKPOINTS, LEVELS, TENSORBOARD)
