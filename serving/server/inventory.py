"""What a server serves, each version with the golden images that it is held against."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from core.bundle import GOLDEN
from core.errors import ServingError
from serving.protocol.grpc import CONTROL_SECONDS, Answer, infer_async
from serving.protocol.model_config import ENSEMBLE, WHOLE
from serving.protocol.pbtxt import from_message
from serving.repository.configs import asks_others
from serving.repository.golden import Reference


@dataclass(frozen=True)
class ServedVersion:
    """A served version of a model with what its answers are held against.

    ``instances`` is how many of it run: none of an ensemble, whose steps are served too. ``asks`` is the model whose
    same version it asks in turn, where there is one.
    """

    name: str
    version: str
    golden: Reference
    max_batch: int
    instances: int = 1
    asks: str = ""

    def ask(self, client: Any, first: int, last: int, seconds: float) -> Answer:
        """Ask for the golden rows from ``first`` up to ``last``."""
        inputs = {name: values[first:last] for name, values in self.golden.inputs.items()}
        return infer_async(client, self.name, inputs, output=self.golden.output, version=self.version, seconds=seconds)

    def difference(self, values: NDArray[Any], first: int) -> str | None:
        """How ``values`` differ from the golden ones that start at ``first``, if by more than rounding."""
        if not (how := self.golden.difference(values, first)):
            return None
        what = {"w": "styles", "z": "latents"}.get(self.golden.output, "images")
        return (
            f"'{self.name}' version {self.version} does not make its golden {what} ({how}): run 'doctor', "
            "and if it finds nothing, export and publish again"
        )


def inventory(
    client: Any, headers: dict[str, str], repository: Path, before: list[ServedVersion]
) -> Iterator[ServedVersion]:
    """The versions that are ready. Raises ServingError for what has no golden images, and what tritonclient raises.

    Of what was served ``before`` they are known, whatever became of the files.
    """
    known = {(model.name, model.version): model.golden for model in before}
    index = client.get_model_repository_index(headers=headers, client_timeout=CONTROL_SECONDS)
    for entry in index.models:
        if entry.state != "READY":
            continue  # a server does not start unless every model is loaded, and refuses later ones itself
        answer = client.get_model_config(entry.name, entry.version, client_timeout=CONTROL_SECONDS)
        yield _served_version(entry, answer.config, repository, known)


def _served_version(
    entry: Any, message: Any, repository: Path, known: Mapping[tuple[str, str], Reference]
) -> ServedVersion:
    config = from_message(message)
    golden = known.get((entry.name, entry.version)) or _golden_of(entry, config.outputs[0].name, repository)
    instances = sum(group.count * max(len(group.gpus), 1) for group in message.instance_group)
    running = 0 if config.backend == ENSEMBLE else instances
    asks = config.parameters.get(WHOLE, "") if running and asks_others(config) else ""
    return ServedVersion(entry.name, entry.version, golden, max(config.max_batch_size, 1), running, asks)


def _golden_of(entry: Any, output: str, repository: Path) -> Reference:
    path = repository / entry.name / entry.version / GOLDEN
    if not path.is_file():
        raise ServingError(
            f"'{entry.name}' version {entry.version} cannot be checked, because {path} is missing: "
            f"publish it again, and delete {path.parent}"
        )
    return Reference.read(path, output)
