"""New versions while a server runs: loaded when they appear, judged, and taken back where they are bad.

Triton goes on with the old version until the new one is loaded, and keeps the one before the newest for those who are
at work with it, so no request fails, unless two more were published within the second between two looks. What the
repository no longer has is unloaded, once what was asked of it is answered.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import GanfoundryError, ServerBusy
from serving.protocol.model_config import WHOLE, ModelConfig
from serving.protocol.pbtxt import parse_lenient
from serving.repository.changes import withdraw
from serving.repository.configs import asks_others, read_config_lenient
from serving.repository.layout import CONFIG
from serving.repository.locks import LOCK, shared
from serving.repository.servable import check_model
from serving.repository.versions import Model, list_models
from serving.server.server import Server, Stillborn
from serving.server.shared_memory import check_shared_memory, needed_by

EVERY = 1.0  # seconds between two looks at the repository

Tell = Callable[[str, str], None]  # hears the kind of what happened, and what it was


@dataclass(frozen=True)
class Snapshot:
    """What of a model decides whether a server must load it again: its newest versions, and its configuration."""

    versions: tuple[int, ...]
    config: bytes


@dataclass(frozen=True)
class Change:
    """What changed of one generator: its ``models``, those of them that did, and its new version if there is one.

    ``dependents`` are those that ask other models, and ``fewer`` is whether the only change is that versions are gone.
    """

    whole: str
    models: tuple[Model, ...]
    changed: Mapping[str, Snapshot]
    dependents: frozenset[str]
    version: int | None
    fewer: bool = False

    @property
    def stages(self) -> tuple[frozenset[str], ...]:
        """In which order to load them: dependents last, for they ask the generator for the same version as theirs."""
        dependents = self.dependents & self.changed.keys()
        return frozenset(self.changed.keys() - dependents), dependents

    @property
    def what(self) -> str:
        """What it is, in words."""
        if self.version is not None:
            return f"version {self.version}"
        return "what is left of its versions" if self.fewer else "its changed configuration"


class Rollout:
    """Has ``server`` load what changes in ``repository``. ``look`` is called often, and never waits.

    ``snapshots`` is what was there before the server began to load it: what came in between is not missed.
    """

    def __init__(
        self, server: Server, repository: Path, snapshots: Mapping[str, Snapshot], tell: Tell, stopping: threading.Event
    ) -> None:
        self._server, self._repository, self._tell, self._stopping = server, repository, tell, stopping
        self._loaded, self._tried = dict(snapshots), dict(snapshots)
        self._next = time.monotonic()
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
            if take_snapshots(self._repository) != self._tried:
                self._at_work = self._pool.submit(self._catch_up)

    def close(self) -> None:
        """Break off what is being done."""
        self._server.client.close()  # a server that hangs would not have loaded it
        self._pool.shutdown()

    def _catch_up(self) -> None:
        """Load what changed of one generator; publishers wait until it is loaded, and it waits for them."""
        try:
            with suppress(OSError):  # a publisher is at work, or the repository is gone: later
                self._load_next()
        finally:
            if self._server.changing:
                with suppress(GanfoundryError):
                    self._server.settle()

    def _load_next(self) -> None:
        if not take_snapshots(self._repository) and not (self._repository / LOCK).exists():
            return  # it was never published to: a file system that is not mounted for a while
        with shared(self._repository):
            now = take_snapshots(self._repository)
            self._unload(now)
            change = self._next_change(now)
            error = self._load(change) if change else None
        if change and error:
            self._refuse(change, error)

    def _next_change(self, now: Mapping[str, Snapshot]) -> Change | None:
        """What is to be loaded of the first generator of which something changed."""
        for whole, members in _by_generator(self._repository, now).items():
            changed = {name: now[name] for name in members if now[name] != self._loaded.get(name)}
            if any(now[name] != self._tried.get(name) for name in changed):
                newest = _newest(now, whole)
                models = tuple(Model(name, now[name].versions, self._repository / name) for name in members)
                dependents = frozenset(name for name in members if members[name])
                version = newest if newest > _newest(self._loaded, whole) else None
                fewer = all(_is_fewer(snapshot, self._loaded.get(name)) for name, snapshot in changed.items())
                return Change(whole, models, changed, dependents, version, fewer)
        self._tried = dict(now)
        return None

    def _unload(self, now: Mapping[str, Snapshot]) -> None:
        """Have the server forget what is gone, those that ask others first, each when its last request is answered."""
        gone = [name for name in self._loaded.keys() - now.keys() if not os.path.lexists(self._repository / name)]
        configs = {name: parse_lenient(self._loaded[name].config.decode()) for name in gone}
        for name in sorted(gone, key=lambda name: (not asks_others(configs[name]), name)):
            try:
                self._server.unload(name)
            except GanfoundryError:
                return  # later
            self._tell("gone", f"'{name}' is no longer in the repository: it is served no more")
            del self._loaded[name]
            self._tried.pop(name, None)

    def _load(self, change: Change) -> Exception | None:
        """Load it and hold what is new against its golden images; gives what is wrong with it."""
        self._tried |= change.changed
        try:
            for model in change.models:  # one that did not change may need what did
                check_model(model)
            anew = (model for model in change.models if model.name in change.changed)
            check_shared_memory(anew, self._server.bundled, self._spoken_for())  # beside what is served until then
            right = all(self._load_stage(names, change.version is None) for names in change.stages)
        except (GanfoundryError, OSError) as error:
            return error

        if right:
            self._loaded |= change.changed
            self._tell("loaded", f"'{change.whole}': {change.what} of {', '.join(sorted(change.changed))}")
        return None

    def _spoken_for(self) -> int:
        """The mebibytes of shared memory that what is served may still come to take."""
        served = (Model(name, snapshot.versions, self._repository / name) for name, snapshot in self._loaded.items())
        wanted = needed_by((model for model in served if model.path.is_dir()), self._server.bundled)
        return max(sum(wanted.values()) - self._server.shared_memory, 0)

    def _load_stage(self, names: Iterable[str], anew: bool) -> bool:
        """Whether what is new of those models is right, or all of it if it is loaded ``anew``; False if asked to stop.

        Raises ServingError for what is not.
        """
        before = {(model.name, model.version) for model in self._server.models}
        for name in names:
            self._server.load(name)
        self._server.find_models()
        new = (m for m in self._server.models if m.name in names and (anew or (m.name, m.version) not in before))
        return self._server.check_golden(new, self._stopping)

    def _refuse(self, change: Change, error: Exception) -> None:
        """Say why, and take a new version back, so that the one before it goes on alone."""
        if isinstance(error, ServerBusy) or self._server.fault():
            for name in change.changed:
                self._tried.pop(name, None)
            return  # the server's own fault: it is tried again, by the next one if need be

        if change.version is None:
            self._tell("refused", f"'{change.whole}': {change.what}: {error}; what is loaded goes on")
            return

        # A bad version is taken back in the repository, and then in the server.
        try:
            goes_on = f"version {withdraw(change.whole, change.version, self._repository)} goes on"
        except (GanfoundryError, OSError) as failure:
            goes_on = f"and it cannot be taken back ({failure})"
        else:
            if not isinstance(error, Stillborn):  # of which the server has not heard yet: it will take a while
                self._load_back(change)
        self._tell("refused", f"'{change.whole}' {change.what}: {error}; {goes_on}")
        if isinstance(error, Stillborn):
            self._load_back(change)

    def _load_back(self, change: Change) -> None:
        """Have the server forget what was taken back, first those that need others."""
        for name in (name for stage in reversed(change.stages) for name in stage):
            with suppress(GanfoundryError):  # what is still wrong then, golden images tell
                if (self._repository / name).exists():
                    self._server.load(name)
                else:
                    self._server.unload(name)


def take_snapshots(repository: Path) -> dict[str, Snapshot]:
    """The models that a server could load, by name."""
    return {model.name: snapshot for model in list_models(repository) if (snapshot := _snapshot_of(model)) is not None}


def _snapshot_of(model: Model) -> Snapshot | None:
    try:
        return Snapshot(model.versions, (model.path / CONFIG).read_bytes())
    except OSError:
        return None


def _is_fewer(now: Snapshot, before: Snapshot | None) -> bool:
    return before is not None and now.config == before.config and set(now.versions) < set(before.versions)


def _newest(models: Mapping[str, Snapshot], name: str) -> int:
    return max(models[name].versions, default=0) if name in models else 0


def _by_generator(repository: Path, names: Iterable[str]) -> dict[str, dict[str, bool]]:
    """Models by the generator they belong to, and whether each asks others."""
    generators: dict[str, dict[str, bool]] = {}
    for name in names:
        try:
            config: ModelConfig | None = read_config_lenient(repository / name)
        except GanfoundryError:
            config = None  # said when it is loaded
        whole = config.parameters.get(WHOLE, name) if config else name
        generators.setdefault(whole, {})[name] = bool(config and asks_others(config))
    return generators
