"""What a server serves, each version with the golden images that it is held against."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.bundle import GOLDEN
from core.errors import ServingError
from serving.protocol.grpc import CONTROL_SECONDS
from serving.protocol.model_config import ENSEMBLE, WHOLE, from_message
from serving.repository.golden import Reference, Watched
from serving.repository.layout import asks_others


def inventory(client: Any, headers: dict[str, str], repository: Path, before: list[Watched]) -> Iterator[Watched]:
    """The versions that are ready. Raises ServingError for what has no golden images, and what tritonclient raises.

    Of what was served ``before`` they are known, whatever became of the files.
    """
    known = {(model.name, model.version): model.golden for model in before}
    index = client.get_model_repository_index(headers=headers, client_timeout=CONTROL_SECONDS)
    for entry in index.models:
        if entry.state != "READY":
            continue  # a server does not start unless every model is loaded, and refuses later ones itself
        answer = client.get_model_config(entry.name, entry.version, client_timeout=CONTROL_SECONDS)
        yield _watched(entry, answer.config, repository, known)


def _watched(entry: Any, message: Any, repository: Path, known: Mapping[tuple[str, str], Reference]) -> Watched:
    config = from_message(message)
    golden = known.get((entry.name, entry.version)) or _golden_of(entry, config.outputs[0].name, repository)
    instances = sum(group.count * max(len(group.gpus), 1) for group in message.instance_group)
    running = 0 if config.backend == ENSEMBLE else instances
    asks = config.parameters.get(WHOLE, "") if running and asks_others(config) else ""
    return Watched(entry.name, entry.version, golden, max(config.max_batch_size, 1), running, asks)


def _golden_of(entry: Any, output: str, repository: Path) -> Reference:
    path = repository / entry.name / entry.version / GOLDEN
    if not path.is_file():
        raise ServingError(
            f"'{entry.name}' version {entry.version} cannot be checked, because {path} is missing: "
            f"publish it again, and delete {path.parent}"
        )
    return Reference.read(path, output)
