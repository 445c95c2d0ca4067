"""New versions while a server runs: loaded when they appear, judged, and taken back where they are bad.

Triton goes on with the old version until the new one is loaded, and keeps the one before the newest for those who are
at work with it, so no request fails. What the repository no longer has is served until the server is started anew.
"""

import fcntl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import GanfoundryError
from serving.config import WHOLE, ModelConfig
from serving.publishing import withdraw
from serving.repository import CONFIG, Model, check_model, glance_at, list_models, locked
from serving.server import Server

EVERY = 1.0  # seconds between two looks at the repository

Tell = Callable[[str, str], None]  # hears the kind of what happened, and what it was


@dataclass(frozen=True)
class Seen:
    """What of a model decides whether a server must load it again: its newest versions, and its configuration."""

    versions: tuple[int, ...]
    config: bytes


class Rollout:
    """Has ``server`` load what changes in ``repository``. ``look`` is called often, and never waits."""

    def __init__(self, server: Server, repository: Path, tell: Tell, stopping: threading.Event) -> None:
        self._server, self._repository, self._tell, self._stopping = server, repository, tell, stopping
        self._loaded = _see(repository)
        self._next = time.monotonic() + EVERY
        self._pool = ThreadPoolExecutor(1, "rollout")
        self._at_work: Future[None] | None = None

    def look(self) -> None:
        """Begin to load what is new, if it is time to look, something is, and nothing is being loaded."""
        if self._at_work is not None:
            if not self._at_work.done():
                return
            self._at_work.result()
            self._at_work = None
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            if _see(self._repository) != self._loaded:
                self._at_work = self._pool.submit(self._catch_up)

    def close(self) -> None:
        """Wait for what is being done."""
        self._pool.shutdown()

    def _catch_up(self) -> None:
        try:
            with locked(self._repository, fcntl.LOCK_SH | fcntl.LOCK_NB):
                now = _see(self._repository)
        except OSError:  # a publisher is at work, or the repository is gone: later
            return
        for name in self._loaded.keys() - now.keys():
            self._tell("gone", f"'{name}' is no longer in the repository: it is served until the server is restarted")
        changed = [name for name in now if now[name] != self._loaded.get(name)]
        self._loaded = now
        try:
            for whole, names in _by_generator(self._repository, changed).items():
                self._roll_out(whole, names, now)
        finally:
            with suppress(GanfoundryError):
                self._server.find_models()

    def _roll_out(self, whole: str, names: list[str], now: Mapping[str, Seen]) -> None:
        """Load the models of one generator and hold what is new against its golden images."""
        before = {(model.name, model.version) for model in self._server.models}
        try:
            self._load(names)
            self._server.find_models()
            new = [model for model in self._server.models if (model.name, model.version) not in before]
            self._server.check_golden(new, self._stopping)
        except GanfoundryError as error:
            self._take_back(whole, names, now, str(error))
            return
        versions = sorted({int(model.version) for model in new})
        what = f"version {versions[-1]}" if versions else "its changed configuration"
        self._tell("loaded", f"'{whole}': {what} of {', '.join(names)}")

    def _load(self, names: list[str]) -> None:
        for name in names:
            path = self._repository / name
            check_model(next(model for model in list_models(self._repository) if model.path == path))
            self._server.load(name)

    def _take_back(self, whole: str, names: list[str], now: Mapping[str, Seen], why: str) -> None:
        """Withdraw the newest version of a generator, so that the one before it goes on alone."""
        version = max(now[whole].versions, default=0) if whole in now else 0
        try:
            kept = withdraw(whole, version, self._repository)
            self._loaded = _see(self._repository)
            for name in names:
                self._server.load(name)
            self._tell("refused", f"'{whole}' version {version}: {why}; version {kept} goes on")
        except GanfoundryError as error:
            self._tell("refused", f"'{whole}' version {version}: {why}; and it cannot be taken back ({error})")


def _see(repository: Path) -> dict[str, Seen]:
    """The models that a server could load, by name."""
    return {model.name: seen for model in list_models(repository) if (seen := _seen(model)) is not None}


def _seen(model: Model) -> Seen | None:
    try:
        return Seen(model.versions, (model.path / CONFIG).read_bytes())
    except OSError:
        return None


def _by_generator(repository: Path, names: list[str]) -> dict[str, list[str]]:
    """Models by the generator they belong to, those that others need first."""
    generators: dict[str, list[tuple[bool, str]]] = {}
    for name in names:
        try:
            config: ModelConfig | None = glance_at(repository / name)
        except GanfoundryError:
            config = None  # said when it is loaded
        whole = config.parameters.get(WHOLE, name) if config else name
        generators.setdefault(whole, []).append((bool(config and config.steps), name))
    return {whole: [name for _, name in sorted(members)] for whole, members in generators.items()}
