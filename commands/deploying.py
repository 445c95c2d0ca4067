"""``deploy``: files by which other machines serve a published model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.console import say, say_all
from commands.options import REPOSITORY, Overwrite, Repository, check_one_of, check_only_with, grouped, is_given
from core.system import need_linux

if TYPE_CHECKING:
    from serving.deploy.plan import Deployment


@dataclass(frozen=True)
class DeploymentOptions:
    """What each server gets, and what a cluster does."""

    image: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:TAG@sha256:DIGEST",
            help="The image of Triton to run. Unless given it is NVIDIA's, whose digest you put in.",
        ),
    ] = None
    gpus: Annotated[int | None, typer.Option(help="How many GPUs each server gets: none unless given.")] = None
    cpus: Annotated[int | None, typer.Option(help="How many cores each server gets, and threads: 2 unless given.")] = (
        None
    )
    memory: Annotated[int | None, typer.Option(help="How many GiB of memory each server gets: 4 unless given.")] = None
    replicas: Annotated[int | None, typer.Option(help="The fewest servers that a cluster runs: 2 unless given.")] = None
    max_replicas: Annotated[int | None, typer.Option(help="The most servers that a cluster runs: 8 unless given.")] = (
        None
    )
    prometheus_namespace: Annotated[
        str | None, typer.Option(help="The namespace of the cluster's Prometheus: monitoring unless given.")
    ] = None
    storage_class: Annotated[
        str | None,
        typer.Option(help="The storage class of the volume for the models: one that many machines may mount."),
    ] = None
    source: Annotated[
        str | None,
        typer.Option(
            metavar="s3://BUCKET/PREFIX|oci://NAME:TAG@sha256:DIGEST",
            help="Where a cluster takes the models from, in place of a volume.",
        ),
    ] = None
    openshift: Annotated[
        bool,
        typer.Option("--openshift", help="Let the cluster choose the user that runs the servers, as OpenShift does."),
    ] = False

    def check(self, in_cluster: bool) -> None:
        """Raise BadParameter for what only a cluster does, unless it is ``in_cluster``."""
        given = {"--storage-class": self.storage_class, "--source": self.source, "--openshift": self.openshift}
        check_only_with("--kubernetes and --kserve", in_cluster, given)

    def given(self) -> dict[str, Any]:
        """The fields of a ``Deployment`` that someone gave."""
        return {name: value for name, value in vars(self).items() if is_given(value)}


@grouped
def deploy(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The name of a published model. Its models for thin clients come along."),
    ],
    compose: Annotated[bool, typer.Option("--compose", help="Write a Compose file, for one machine.")] = False,
    container: Annotated[
        bool, typer.Option("--container", help="Write a Dockerfile of 'serve' itself, to try it on one machine.")
    ] = False,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Write the manifests of a Kubernetes Deployment.")
    ] = False,
    kserve: Annotated[bool, typer.Option("--kserve", help="Write the manifests of a KServe InferenceService.")] = False,
    repository: Repository = REPOSITORY,
    out: Annotated[Path | None, typer.Option(help="The folder to write into: deploy/NAME unless given.")] = None,
    *,
    sizes: DeploymentOptions,
    overwrite: Overwrite = False,
) -> None:
    """Write files that serve a published model on other machines.

    They run NVIDIA's container of Triton; docs/deploy.md says how to use them.
    """
    need_linux("deploy")
    targets = {"compose": compose, "container": container, "kubernetes": kubernetes, "kserve": kserve}
    check_one_of({f"--{target}": chosen for target, chosen in targets.items()})
    sizes.check(in_cluster=kubernetes or kserve)

    from serving.deploy.plan import plan
    from serving.deploy.writing import write

    target = next(target for target in targets if targets[target])
    out = out or Path("deploy", name)
    planned = plan(name, repository, out, **sizes.given())
    say_all(f"written: {path}" for path in write(planned, target, out, overwrite))
    _print_deployment(planned, name, target, out)


def _print_deployment(planned: "Deployment", name: str, target: str, out: Path) -> None:
    """Print what is deployed, and what is left to do."""
    from serving.deploy.container import IMAGE

    say(f"models: {', '.join(planned.models)}, version {planned.version}")
    if planned.name != name:
        say(f"its name there: {planned.name}")
    shared = f"up to {planned.shared_memory} MiB of it shared"
    say(f"each server: {planned.cpus} cores, {planned.memory} GiB of memory, {shared}")

    if target == "container":
        say(f"build it where pyproject.toml is: docker build -f {out / 'Dockerfile'} -t {IMAGE} .")
    elif "<digest>" in planned.image:
        say("before anything starts, put the image's digest in the place of <digest>: docs/deploy.md says how")
