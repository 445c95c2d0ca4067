"""What is to be deployed: a model of a repository with all that belongs to it, and how large its servers are."""

import difflib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from core.errors import DeployError
from serving.protocol.model_config import ENSEMBLE, WHOLE, ModelConfig
from serving.protocol.pbtxt import parse_lenient
from serving.repository.configs import read_config_lenient
from serving.repository.engines import LIMITED
from serving.repository.layout import CONFIGS
from serving.repository.servable import check_servable
from serving.repository.versions import Model, list_models
from serving.server.shared_memory import MIB, shared_memory_bytes

# One of NVIDIA's containers. A tag may be moved to another image, so a digest goes with it, and nothing starts before
# someone has put it in.
IMAGE = "nvcr.io/nvidia/tritonserver:26.11-py3@sha256:<digest>"
# Triton 2.72, with the fix of server issue 8870: before, a model whose requests may time out slows down until it stops.
OLDEST = (26, 8)

_BY_DIGEST = re.compile(r"[^@\s]+@sha256:([0-9a-f]{64}|<digest>)")
_RELEASE = re.compile(r":(\d\d)\.(\d\d)(?!\d)")  # in the tags of NVIDIA's containers, and of what is built on them
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*")
_LEAST_SHARED_MIB = 64  # what Docker gives a container
_RESOURCE = re.compile(r"[a-z][a-z0-9-]{0,39}")  # KServe adds up to 20 characters to it
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_STORAGE_CLASS = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?")


@dataclass(frozen=True)
class Deployment:
    """The model ``model``, its newest ``version``, and every model beside it that belongs to it, in ``models``.

    ``places`` are the ways to the folders of ``models`` from the folder that the manifests are written into.
    ``shared_memory`` is what they take of it at most, in MiB, ``instances`` how many of them there are together, of all
    versions. ``memory`` is in GiB, ``gpus`` and ``cpus`` are whole devices and cores, all for each of at least
    ``replicas`` servers. ``source`` is where a cluster's models come from, ``s3://BUCKET/PREFIX`` or
    ``oci://IMAGE@sha256:DIGEST``, a volume of the class ``storage_class`` where it is empty; ``openshift`` leaves to
    the cluster which user runs them. Raises DeployError for what cannot be, naming the flag.
    """

    model: str
    version: int
    models: tuple[str, ...]
    places: tuple[str, ...]
    shared_memory: int = _LEAST_SHARED_MIB
    instances: int = 2
    image: str = IMAGE
    gpus: int = 0
    cpus: int = 2
    memory: int = 4
    replicas: int = 2
    max_replicas: int = 8
    prometheus_namespace: str = "monitoring"
    storage_class: str = ""
    source: str = ""
    openshift: bool = False

    def __post_init__(self) -> None:
        _check_image(self.image)
        self._check_sizes()
        self._check_storage()
        if not _NAMESPACE.fullmatch(self.prometheus_namespace):
            raise DeployError(f"--prometheus-namespace '{self.prometheus_namespace}' is not a namespace of Kubernetes")
        if not _RESOURCE.fullmatch(self.name):
            raise DeployError(
                f"'{self.model}' cannot name a Kubernetes service: publish it under a name of up to 33 letters, digits "
                "and '-' that starts with a letter"
            )

    @property
    def name(self) -> str:
        """The model's name as Kubernetes can spell it: itself, or like it, with what no other model's name has."""
        like = re.sub(r"[^a-z0-9]+", "-", self.model.lower()).strip("-")
        return like if like == self.model else f"{like}-{sha256(self.model.encode()).hexdigest()[:6]}"

    @property
    def release(self) -> str:
        """The folder that a copy of the models goes into; each version has its own, so that any can be gone back to."""
        return f"v{self.version}"

    def _check_sizes(self) -> None:
        if self.gpus < 0 or self.cpus < 1 or self.memory < 1:
            raise DeployError("a server needs --cpus and --memory of at least 1, and no less than 0 --gpus")

        if (least := -(-2 * self.shared_memory // 1024)) > self.memory:
            raise DeployError(
                f"the models take up to {self.shared_memory} MiB of shared memory, which is memory of the server: give "
                f"--memory {least} or more, or their configurations a smaller max_batch_size"
            )

        if not 2 <= self.replicas <= self.max_replicas:
            raise DeployError(
                "--replicas must be 2 or more, for one alone is gone while its machine is emptied, and "
                "--max-replicas no less than that"
            )

    def _check_storage(self) -> None:
        if self.storage_class and not _STORAGE_CLASS.fullmatch(self.storage_class):
            raise DeployError(f"--storage-class '{self.storage_class}' is not a name of Kubernetes")
        if self.storage_class and self.source:
            raise DeployError("--storage-class is for a volume, and with --source there is none: leave one of them out")
        if self.source.startswith("oci://") and not _BY_DIGEST.fullmatch(self.source.removeprefix("oci://")):
            raise DeployError(f"--source '{self.source}' may change: write it as oci://NAME:TAG@sha256:DIGEST")
        if self.source and not self.source.startswith("oci://") and not _S3.fullmatch(self.source):
            raise DeployError(
                f"--source '{self.source}' is neither s3://BUCKET/PREFIX nor oci://NAME:TAG@sha256:DIGEST"
            )


def plan(name: str, repository: Path, out: Path, **sizes: Any) -> Deployment:
    """The deployment of the model ``name`` in ``repository``, its manifests to be written into the folder ``out``.

    ``sizes`` are the other fields of Deployment. Raises RepositoryError for a repository that cannot be served,
    DeployError for a name that is not in it or is that of a part, and for a model with files that lie elsewhere.
    """
    check_servable(repository)
    models = {model.name: model for model in list_models(repository)}
    if name not in models:
        raise DeployError(f"{repository} has no model '{name}': it has {_nearest(name, list(models))}")
    configs = {each: read_config_lenient(model.path) for each, model in models.items()}
    if whole := configs[name].parameters.get(WHOLE):
        raise DeployError(f"'{name}' is a part of '{whole}', which brings it along: deploy that")
    names = (name, *(each for each in models if configs[each].parameters.get(WHOLE) == name))
    places = tuple(_way(models[each], out) for each in names)
    needs = _needs([_as_served(models[each]) for each in names], sizes.get("gpus", 0))
    return Deployment(name, models[name].versions[-1], names, places, *needs, **sizes)


def _check_image(image: str) -> None:
    if not _BY_DIGEST.fullmatch(image):
        raise DeployError(f"--image '{image}' may change under its name: write it as NAME:TAG@sha256:DIGEST")
    release = _RELEASE.search(image)
    if release and (int(release[1]), int(release[2])) < OLDEST:
        raise DeployError(
            f"--image '{image}' is older than 26.08, and slows down until it stops where requests may time out "
            "(Triton's server issue 8870): take 26.11"
        )


def _way(model: Model, out: Path) -> str:
    """The way to the folder of ``model`` from ``out``, links followed; a container sees nothing outside of it."""
    folder = model.path.resolve()
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(folder):
            raise DeployError(f"{path} is a link to what a container would not see: put the files themselves there")
    return Path(os.path.relpath(folder, out.resolve())).as_posix()


def _as_served(model: Model) -> ModelConfig:
    """The configuration that a server takes which is told to take those with limits, where there are any."""
    limited = model.path / CONFIGS / f"{LIMITED}.pbtxt"
    return parse_lenient(limited.read_text(encoding="utf-8")) if limited.is_file() else read_config_lenient(model.path)


def _needs(configs: Iterable[ModelConfig], gpus: int) -> tuple[int, int]:
    """MiB of shared memory, and instances, of all versions that are served."""
    run = [config for config in configs if config.backend != ENSEMBLE]
    shared = -(-shared_memory_bytes(run, max(gpus, 1)) // MIB)
    instances = sum((config.instances.count if config.instances else 1) * config.versions for config in run)
    return max(shared, _LEAST_SHARED_MIB), instances * max(gpus, 1)


def _nearest(name: str, models: list[str]) -> str:
    """A dozen of the models there are, those nearest to ``name`` first."""
    near = difflib.get_close_matches(name, models, 3)
    return ", ".join([*near, *(model for model in models if model not in near)][:12])
