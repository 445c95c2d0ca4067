"""A new version's trial: served in private, by the same server that will serve it, before anyone sees it."""

from pathlib import Path

from core.errors import RepositoryError, ServingError
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor


def try_in_server(repository: Path) -> None:
    """Serve ``repository`` on private ports until every golden image has come back.

    Raises RepositoryError where one is wrong or something does not load, and MissingDependency without a server.
    """
    try:
        with Supervisor(repository, free_ports()):
            pass
    except ServingError as error:
        raise RepositoryError(f"a server of its own did not serve it, so nothing was published: {error}") from None
