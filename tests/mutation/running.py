"""Run tests in forked processes: once to see which lines each touches, then once for every mutant.

A process of its own for each mutant would spend seconds to import torch and milliseconds to test. Here the parent
imports what others wrote and nothing of ours; each child imports ours anew, with one file broken, and is thrown away.
"""

import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import coverage
import pytest

from tests.mutation.mutants import Mutant

ROOT = Path(__file__).parent.parent.parent
FOREIGN = [
    "PIL.Image",
    "numpy",
    "hypothesis",
    "matplotlib.pyplot",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "rich",
    "safetensors.torch",
    "torch",
    "torch._dynamo",
    "torch.onnx",
    "torchmetrics",
    "tritonclient.grpc",
    "typer",
]
REWRITTEN = "ignore::pytest.PytestAssertRewriteWarning"  # of plugins that the parent has imported
QUIET = ("-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", REWRITTEN)
AT_IMPORT = "import"
LONGEST_TEST_S = 5.0  # a longer one is left out: it is the road's, not the file's
BUDGET_S = 40.0  # of tests for one mutant


@dataclass
class Touched:
    """Which tests ran which lines of which files, and how long each test took, in seconds."""

    tests: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    seconds: dict[str, float] = field(default_factory=dict)

    def of(self, mutant: Mutant) -> list[str]:
        """The tests to run for ``mutant``: those named like its file first, then the quickest."""
        lines = self.tests.get(mutant.path, {})
        touching = set(lines.get(mutant.line, ()))
        stem = f"test_{Path(mutant.path).stem}.py"
        if AT_IMPORT in touching or not touching:
            named = {test for test in self.seconds if f"/{stem}::" in test}  # may look at nothing but a constant
            touching = named.union(*lines.values()) if lines else set()
        known = [test for test in touching if self.seconds.get(test, LONGEST_TEST_S) < LONGEST_TEST_S]
        ordered = sorted(known, key=lambda test: (stem not in test, self.seconds[test], test))
        chosen, total = [], 0.0
        for test in ordered:
            total += self.seconds[test]
            if total < BUDGET_S:
                chosen.append(test)
        return chosen


def import_foreign() -> None:
    """What takes seconds, once, for all children, who then have nothing of it to collect: that would copy its pages."""
    for name in FOREIGN:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # pytest collects garbage at its end: the half of a child's time, where it goes through all this too


class Recorder:
    """A pytest plugin that names the test for every line that coverage sees."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.seconds: dict[str, float] = defaultdict(float)
        self.users: dict[str, set[str]] = defaultdict(set)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.item = item.nodeid
        for name in getattr(item, "fixturenames", ()):
            self.users[name].add(item.nodeid)
        self.measured.switch_context(item.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        """What a fixture that is shared runs is run for all who use it."""
        if fixturedef.scope != "function":
            self.measured.switch_context(f"fixture {fixturedef.argname}")
        result = yield
        self.measured.switch_context(self.item)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration


def touched_by(tests: Sequence[str], rooms: Sequence[str]) -> Touched:
    """Run ``tests`` once. Raises SystemExit where one fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "touched.json"
        status = _forked(lambda: _record(tests, rooms, file), timeout=3600, quiet=False)
        if status != 0:
            raise SystemExit("error: the tests must pass before anything is broken: run scripts/test")
        written = json.loads(file.read_text())
    touched = Touched(seconds=written["seconds"])
    for path, lines in written["tests"].items():
        for line, names in lines.items():
            touched.tests[path][int(line)] = set(names)
    return touched


def _record(tests: Sequence[str], rooms: Sequence[str], file: Path) -> int:
    measured = coverage.Coverage(data_file=None, include=[str(ROOT / room / "*") for room in rooms], config_file=False)
    recorder = Recorder(measured)
    measured.start()
    measured.switch_context(AT_IMPORT)
    status = pytest.main([*QUIET, *tests], plugins=[recorder])
    measured.stop()
    data = measured.get_data()
    found: dict[str, dict[int, list[str]]] = {}
    for path in data.measured_files():
        lines = found.setdefault(str(Path(path).relative_to(ROOT)), {})
        for line, contexts in data.contexts_by_lineno(path).items():
            names: set[str] = set()
            for context in contexts:
                fixture = context.removeprefix("fixture ")
                names |= recorder.users[fixture] if fixture != context else {context or AT_IMPORT}
            lines[line] = sorted(names)
    file.write_text(json.dumps({"tests": found, "seconds": recorder.seconds}), encoding="utf-8")
    return int(status)


class Broken(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Imports one file's module from other source."""

    def __init__(self, path: Path, source: bytes) -> None:
        self.path, self.source = str(path), source
        parts = path.relative_to(ROOT).with_suffix("").parts
        self.module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.package = parts[-1] == "__init__"

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.module:
            return None
        places = [str(Path(self.path).parent)] if self.package else None
        return importlib.util.spec_from_file_location(
            fullname, self.path, loader=self, submodule_search_locations=places
        )

    def get_filename(self, fullname: str) -> str:
        return self.path

    def get_data(self, path: str) -> bytes:
        if path == self.path:
            return self.source
        raise OSError(path)  # compiled code of the whole file


def survives(mutant: Mutant, tests: Sequence[str], seconds: float) -> bool:
    """Whether all ``tests``, which take ``seconds`` on whole code, pass on ``mutant``. One that hangs does not."""

    def run() -> int:
        path = ROOT / mutant.path
        sys.meta_path.insert(0, Broken(path, mutant.apply(path.read_bytes())))
        return int(pytest.main(["-x", *QUIET, *tests]))

    return _forked(run, timeout=20 + 6 * seconds) == 0


def _forked(work: Callable[[], int], timeout: float, quiet: bool = True) -> int:
    """The exit status of ``work`` in a child; -9 if it took longer than ``timeout`` seconds."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            os.setsid()
            os.chdir(ROOT)
            if quiet:
                nothing = os.open(os.devnull, os.O_RDWR)
                for descriptor in (0, 1, 2):
                    os.dup2(nothing, descriptor)
            status = work()
        except BaseException:  # whatever breaks, breaks the child alone
            traceback.print_exc()
            status = 98
        finally:
            os._exit(status)
    end = time.monotonic() + timeout
    while True:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            _end_group(pid)  # what it may have started
            return os.waitstatus_to_exitcode(code)
        if time.monotonic() > end:
            _end_group(pid)
            os.waitpid(pid, 0)
            return -signal.SIGKILL
        time.sleep(0.01)


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
