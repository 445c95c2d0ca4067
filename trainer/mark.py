"""The mark of a run's folder: the proof that it is ours, and the names of what we wrote into it.

    RUN/ganfoundry-run.json  {"format": "ganfoundry run", "format_version": 1, "written": ["config.json", …]}

A name is noted before its file is written, so what is not noted is somebody else's, wherever a run was killed. Runs of
before there was a mark are known by their settings and a state whose hashes fit.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from PIL import Image

from core.errors import CheckpointError, ConfigError, TrainingError
from core.files import sha256, write_atomic
from core.ours import is_ours
from core.places import held, shown, why_not
from core.run import BEST, CHECKPOINTS, CONFIG, GENERATOR, LEVELS, LOG, PICTURES, SAMPLES
from trainer.settings.config import TrainConfig

MARK = "ganfoundry-run.json"
FORMAT, FORMAT_VERSION = "ganfoundry run", 1
LOCK = ".lock"
STATE_FILES = frozenset({"networks.safetensors", "optimisers.safetensors", "state.json", "manifest.json"})
PREVIEW = re.compile(r"[0-9]{9}|[1-9][0-9]{9,}")  # the name, without its end, of what was made after so many images


def written(root: Path) -> set[str] | None:
    """The names of what we wrote into ``root``, relative to it; None unless that is a run of ours.

    Raises TrainingError for a run of another version.
    """
    try:
        values = json.loads((root / MARK).read_text(encoding="utf-8"))
        if values["format"] == FORMAT and values["format_version"] == FORMAT_VERSION:
            return {str(name) for name in values["written"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set(_recognised(root)) if _is_older_run(root) else None
    raise TrainingError(f"{root} was written by another version of Ganfoundry: use that, or another --out")


def note(root: Path, names: Iterable[str]) -> None:
    """Note ``names`` as ours, with those that were noted before."""
    values = {"format": FORMAT, "format_version": FORMAT_VERSION}
    both = sorted({*(written(root) or ()), *names})
    write_atomic(root / MARK, json.dumps({**values, "written": both}, indent=1) + "\n")


def check_out(root: Path) -> None:
    """Raise TrainingError unless a run may be written to ``root``: a new or empty folder, or a run of ours."""
    if problem := why_not(root, whole=False):
        raise TrainingError(problem)

    # A place where a run can be
    if shown(str(root.absolute())) != str(root.absolute()):
        raise TrainingError(
            f"{root} is not written in UTF-8, and weights cannot be read from there: rename that folder"
        )
    if root.exists() and not root.is_dir():
        raise TrainingError(f"{root} is a file: choose another --out")

    # That is new, ours, or empty but for what a killed run leaves
    if not root.exists() or written(root) is not None:
        return
    found = [name for name in held(root) if not _is_bare_lock(root / name)]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise TrainingError(
            f"{root} holds {found[0]}{more} and is no run of ours, so nothing is written there: "
            "choose another --out, a new or an empty folder"
        )


def states(folder: Path) -> list[Path]:
    """The states of training under ``folder``, newest first, whole or damaged: other folders are not ours."""
    return sorted(
        (path for path in folder.glob("*") if PREVIEW.fullmatch(path.name) and holds_a_state(path)), reverse=True
    )


def holds_a_state(path: Path) -> bool:
    """Whether it is a folder in which nothing is but files of a state, or nothing at all."""
    return path.is_dir() and not path.is_symlink() and {each.name for each in path.iterdir()} <= STATE_FILES


def delete_state(path: Path) -> None:
    """Delete the files of a state, and its folder if nothing else is in it."""
    for name in STATE_FILES:
        (path / name).unlink(missing_ok=True)
    with suppress(OSError):
        path.rmdir()


def is_by_us(path: Path) -> bool:
    """Whether the file itself says that a run of ours wrote it."""
    return _is_generator(path) if path.suffix == ".safetensors" else is_ours(path)


def _is_bare_lock(path: Path) -> bool:
    """Whether it is what a run leaves that is killed before its mark: nothing is lost with it."""
    return path.name == LOCK and path.is_file() and path.stat().st_size == 0


def _is_older_run(root: Path) -> bool:
    """Whether the folder holds settings of ours and a state whose manifest fits."""
    try:
        TrainConfig.from_json((root / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, ConfigError):
        return False
    return any(_is_state(path) for path in (root / CHECKPOINTS).glob("*") if PREVIEW.fullmatch(path.name))


def _is_state(path: Path) -> bool:
    try:
        hashes = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        fits = hashes["state.json"] == sha256(path / "state.json")
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return fits and {*hashes, "manifest.json"} == STATE_FILES


def _recognised(root: Path) -> Iterator[str]:
    """What of an older run is its own, by what is inside."""
    for name in (CONFIG, LOG, *PICTURES):
        if (root / name).is_file() and (name == CONFIG or _LOOK[Path(name).suffix](root / name)):
            yield name
    for place in (GENERATOR, BEST, f"{LEVELS}/*.safetensors"):
        yield from (path.relative_to(root).as_posix() for path in root.glob(place) if _is_generator(path))
    for path in (root / SAMPLES).glob("*.png"):
        if PREVIEW.fullmatch(path.stem) and _is_picture(path):
            yield path.relative_to(root).as_posix()


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path, formats=["PNG", "GIF"]) as picture:
            return min(picture.size) > 0
    except (OSError, SyntaxError, ValueError):
        return False


def _is_log(path: Path) -> bool:
    try:
        first = json.loads(path.read_text(encoding="utf-8", errors="replace").partition("\n")[0] or '{"images": 0}')
    except ValueError:
        return False
    return isinstance(first, dict) and type(first.get("images")) is int


def _is_generator(path: Path) -> bool:
    from core.checkpoint import read_spec

    try:
        read_spec(path)
    except CheckpointError:
        return False
    return True


_LOOK = {".jsonl": _is_log, ".gif": _is_picture, ".png": _is_picture}
