"""For every test: one thread each for tiny networks, graphs that are traced once, and who runs beside whom."""

import os
import re
from collections import Counter

import pytest
from hypothesis import settings

# Two cores that wait for each other at every layer are slower than one, and a machine under test is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long one example takes says more about the machine than about the code.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

# Files that share what is slow to make, exported graphs or a server, and are run by one process.
GROUPS = {
    "shipped": re.compile(
        r"export/test_(served_translators|families|translators|targets|optimise|rewrites|precision|inspection|web)\.py"
    ),
    "served": re.compile(
        r"serving/test_(asking|client|examples|hostile|launching|load|metrics|monitoring|thin|top|translating)\.py"
    ),
    "styled": re.compile(r"serving/test_(local|sampling|styles)\.py"),
}
# The longest first, so that no process is left alone with one of them at the end.
FIRST = ("shipped", "tests/test_presets.py", "tests/test_docs_run.py", "tests/serving/server/test_supervisor.py",
         "served", "tests/test_road.py", "tests/serving/server/test_rollout.py", "tests/commands/test_training.py",
         "tests/test_ownership.py")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups come first."""
    groups = {item: group_of(item.nodeid) for item in items}
    items.sort(key=lambda item: FIRST.index(groups[item]) if groups[item] in FIRST else len(FIRST))


def group_of(test: str) -> str:
    """What the test named is run together with: the tests of its file, or of several."""
    file = test.partition("::")[0]
    return next((name for name, files in GROUPS.items() if files.search(file)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A group to each process. ``--dist loadgroup`` of pytest-xdist 3.8 has no effect in pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


@pytest.fixture(scope="session", autouse=True)
def traced_once():
    """No graph is traced twice: see tests/tracing.py."""
    from export.graphs import convert
    from tests.tracing import keeping

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "traced", keeping(convert.traced))
        yield


@pytest.fixture
def traced_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's exporter itself, for those who test it."""
    from export.graphs import convert

    monkeypatch.setattr(convert, "traced", convert.traced.__wrapped__)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped and how to have it, a line a reason."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    if reasons:
        terminalreporter.section("not tested here, and what it takes")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count:4} tests: {reason}")
