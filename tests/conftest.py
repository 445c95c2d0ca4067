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

# Fixtures that are made once for many files: who uses one is run by the process that has it.
SHARED = ("style_server", "thin_server", "server", "limited_ports")
SHIPPED = re.compile(r"export/test_(families|targets|optimise|rewrites|precision|inspection)\.py")
# The longest first, so that no process is left alone with one of them at the end.
FIRST = ("tests/test_presets.py", "tests/test_road.py", "shipped", "server", "tests/serving/test_rollout.py")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever shares what is slow to make goes to one process, for ``--dist loadgroup``."""
    groups = {item: _group(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: FIRST.index(groups[item]) if groups[item] in FIRST else len(FIRST))


def _group(item: pytest.Item) -> str:
    file = item.nodeid.partition("::")[0]
    for name in SHARED:
        if file.startswith("tests/serving/") and name in getattr(item, "fixturenames", ()):
            return name
    return "shipped" if SHIPPED.search(file) else file


@pytest.fixture(scope="session", autouse=True)
def traced_once():
    """No graph is traced twice: see tests/tracing.py."""
    from export import convert
    from tests.tracing import keeping

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "traced", keeping(convert.traced))
        yield


@pytest.fixture
def traced_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's exporter itself, for those who test it."""
    from export import convert

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
