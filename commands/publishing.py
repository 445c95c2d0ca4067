"""``publish``, ``rollback`` and ``models``: the versions of a model repository."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.console import console, print_table, say, say_all
from commands.options import REPOSITORY, Bundle, Repository, Trial, check_one_of, check_only_with
from core.system import need_linux

if TYPE_CHECKING:
    from serving.publishing import Published


def publish(
    bundle: Bundle,
    name: Annotated[str, typer.Option(help="What the model is called on the server.")],
    repository: Repository = REPOSITORY,
    thin: Annotated[
        bool,
        typer.Option(
            "--thin/--no-thin", help="Also publish NAME_from_seed and NAME_png, which clients without our code can ask."
        ),
    ] = True,
    trial: Trial = True,
) -> None:
    """Add a bundle to a model repository, as a new version.

    A server that is running loads it by itself.
    """
    publish_bundle(bundle, name, repository, thin=thin, trial=trial)


def publish_bundle(bundle: Path, name: str, repository: Path, thin: bool = True, trial: bool = True) -> None:
    """Publish a bundle, after a trial unless that is switched off, and print where it is."""
    need_linux("publish")
    from serving.publishing import publish as add_version

    with console.status("publishing, after a trial in a server of its own" if trial else "publishing"):
        published = add_version(bundle, name, repository, thin=thin, trial=trial)
    _print_published(published)


def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a published model.")],
    to: Annotated[
        int | None, typer.Option(help="The version to go back to: the one before the newest unless given.")
    ] = None,
    repository: Repository = REPOSITORY,
    trial: Trial = True,
) -> None:
    """Go back to an older version of a model.

    The older version is published once more, under a new number.
    """
    need_linux("rollback")
    from serving.publishing import rollback as go_back

    with console.status("going back, after a trial in a server of its own" if trial else "going back"):
        published = go_back(name, repository, to, trial=trial)
    _print_published(published)


def models(
    repository: Repository = REPOSITORY,
    metrics_url: Annotated[
        str | None,
        typer.Option(help="The address of a server's metrics, to see what it answered: http://localhost:8002/metrics."),
    ] = None,
    prune: Annotated[
        int | None,
        typer.Option(
            min=2, metavar="KEEP", help="Delete all but the newest KEEP versions of every model; a server serves two."
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Delete a model and all that belongs to it. May be repeated."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Prune this model and no other. May be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
) -> None:
    """List published models, or delete old versions of them.

    The list has their versions, the bundles they came from and, of a server, how much it answered.

    With --prune or --remove, delete what publish wrote. Where anything else lies in it, nothing is deleted. A server
    that is running unloads it when the last request for it is answered.
    """
    need_linux("models")
    check_only_with("--prune", prune, {"--only": only})
    if prune or remove:
        check_one_of({"--prune": prune, "--remove": remove})
        _delete(repository, prune, remove or [], only or [], dry_run)
        return
    if dry_run:
        raise typer.BadParameter("--dry-run goes with --prune or --remove only")

    from serving.monitoring.overview import overview, table
    from serving.monitoring.top import Reader

    served = Reader(metrics_url).read() if metrics_url else None
    print_table(*table(overview(repository, served), served is not None))


def _delete(repository: Path, keep: int | None, names: list[str], only: list[str], dry_run: bool) -> None:
    from serving.removing import prune, remove

    gone = prune(keep, repository, only, dry_run) if keep else remove(names, repository, dry_run)
    say_all(f"{'would delete' if dry_run else 'deleted'}: {path}" for path in gone)
    if not gone:
        say(f"no model has more than {keep} versions: nothing to delete")


def _print_published(published: "Published") -> None:
    say(f"published {published.name} version {published.version}: {published.path}")
    if published.companions:
        say(f"beside it: {', '.join(published.companions)}")
