"""Manifests, and a Dockerfile, as files.

They are built as plain documents, not filled into templates: Kubernetes and KServe share their pods, most parts depend
on the plan, and a library that quotes every value leaves no name or path that could break the YAML.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from core.errors import DeployError
from core.files import write_atomic
from core.places import why_not
from serving.deploy import compose, container, kserve, kubernetes
from serving.deploy.plan import Deployment

_HEAD = "# Written by Ganfoundry's 'deploy'"  # what proves that a file may be replaced

Files = Mapping[str, list[dict[str, Any]] | str]  # documents of YAML, or text
TARGETS: dict[str, Callable[[Deployment], Files]] = {
    "compose": compose.manifests,
    "container": container.manifests,
    "kubernetes": kubernetes.manifests,
    "kserve": kserve.manifests,
}


def write(plan: Deployment, target: str, out: Path, overwrite: bool = False) -> list[Path]:
    """Write the files of ``target`` into the folder ``out``. Returns their paths.

    Raises DeployError, with nothing written, for a file that is there and different, unless ``overwrite`` and its first
    line says that it is of ours.
    """
    if problem := why_not(out, whole=False):
        raise DeployError(problem)
    texts = {out / name: to_text(content) for name, content in TARGETS[target](plan).items()}

    # What is there is looked at as a whole, before anything is written.
    for path, text in texts.items():
        if not path.exists() or path.read_bytes() == text.encode():
            continue
        if not overwrite:
            raise DeployError(f"{path} is there and differs: give --overwrite to replace it, or another --out")
        if not path.read_bytes().startswith(_HEAD.encode()):
            raise DeployError(f"{path} is there, and 'deploy' did not write it: move it, or give another --out")

    for path, text in texts.items():
        write_atomic(path, text)
    return list(texts)


def to_text(content: list[dict[str, Any]] | str) -> str:
    """The text of one file: documents one after the other, every value written out where it stands."""
    if not isinstance(content, str):
        content = yaml.dump_all(content, Dumper=_Plain, sort_keys=False, width=math.inf)
    return f"{_HEAD}; docs/deploy.md says how to use it.\n{content}"


class _Plain(yaml.SafeDumper):
    """Without anchors and references, which are for machines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
