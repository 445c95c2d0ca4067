"""What is to be deployed: a model of a repository with all that belongs to it, and how large its servers are."""

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import DeployError
from serving.config import WHOLE
from serving.repository import check_servable, glance_at, list_models

# The oldest of NVIDIA's containers for production. A tag may be moved to another image, so a digest goes with it, and
# nothing starts before someone has put it in.
IMAGE = "nvcr.io/nvidia/tritonserver:26.06-py3@sha256:<digest>"

_BY_DIGEST = re.compile(r"[^@\s]+@sha256:([0-9a-f]{64}|<digest>)")
_RESOURCE = re.compile(r"[a-z][a-z0-9-]{0,39}")  # KServe adds up to 20 characters to it
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Deployment:
    """The model ``model``, its newest ``version``, and every model beside it that belongs to it, in ``models``.

    ``repository`` is the way to the model repository from the folder that the manifests are written into. ``memory``
    is in GiB, ``gpus`` and ``cpus`` are whole devices and cores, all for each of at least ``replicas`` servers.
    Raises DeployError for sizes that cannot be, naming the flag.
    """

    model: str
    version: int
    models: tuple[str, ...]
    repository: str
    image: str = IMAGE
    gpus: int = 0
    cpus: int = 2
    memory: int = 4
    replicas: int = 2
    max_replicas: int = 8
    prometheus_namespace: str = "monitoring"

    def __post_init__(self) -> None:
        if not _BY_DIGEST.fullmatch(self.image):
            raise DeployError(f"--image '{self.image}' may change under its name: write it as NAME:TAG@sha256:DIGEST")
        if self.gpus < 0 or self.cpus < 1 or self.memory < 1:
            raise DeployError("a server needs --cpus and --memory of at least 1, and no less than 0 --gpus")
        if not 2 <= self.replicas <= self.max_replicas:
            raise DeployError(
                "--replicas must be 2 or more, for one alone is gone while its machine is emptied, and "
                "--max-replicas no less than that"
            )
        if not _NAMESPACE.fullmatch(self.prometheus_namespace):
            raise DeployError(f"--prometheus-namespace '{self.prometheus_namespace}' is not a namespace of Kubernetes")
        if not _RESOURCE.fullmatch(self.name):
            raise DeployError(
                f"'{self.model}' cannot name a Kubernetes service: publish it under a name of up to 40 letters, digits "
                "and '-' that starts with a letter"
            )

    @property
    def name(self) -> str:
        """The model's name as Kubernetes can spell it."""
        return re.sub(r"[^a-z0-9]+", "-", self.model.lower()).strip("-")

    @property
    def release(self) -> str:
        """The folder that a copy of the models goes into; each version has its own, so that any can be gone back to."""
        return f"v{self.version}"


def plan(name: str, repository: Path, out: Path, **sizes: Any) -> Deployment:
    """The deployment of the model ``name`` in ``repository``, its manifests to be written into the folder ``out``.

    ``sizes`` are the other fields of Deployment. Raises RepositoryError for a repository that cannot be served,
    DeployError for a name that is not in it or is that of a part.
    """
    check_servable(repository)
    models = {model.name: model for model in list_models(repository)}
    if name not in models:
        raise DeployError(f"{repository} has no model '{name}': it has {_nearest(name, list(models))}")
    wholes = {each: glance_at(model.path).parameters.get(WHOLE) for each, model in models.items()}
    if whole := wholes[name]:
        raise DeployError(f"'{name}' is a part of '{whole}', which brings it along: deploy that")
    parts = tuple(each for each in models if wholes[each] == name)
    way = Path(os.path.relpath(repository, out)).as_posix()
    return Deployment(name, models[name].versions[-1], (name, *parts), way, **sizes)


def _nearest(name: str, models: list[str]) -> str:
    """A dozen of the models there are, those nearest to ``name`` first."""
    near = difflib.get_close_matches(name, models, 3)
    return ", ".join([*near, *(model for model in models if model not in near)][:12])
