"""What a machine has, as rows of a table. Each room has a ``doctor.py`` whose ``checks()`` looks at what it needs."""

import importlib.metadata
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing looked at: whether it is fine, what was found, and the command that mends it if it is not."""

    name: str
    fine: bool
    found: str
    mend: str = ""


def package(name: str, extra: str) -> Check:
    """Whether the Python package ``name`` is installed; if not, the extra of ours that brings it."""
    try:
        return Check(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, "not installed", f"pip install -c constraints.txt '.[{extra}]'")
