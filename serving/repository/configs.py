"""How the models of a repository are configured: ``config.pbtxt``, read and written."""

from collections.abc import Callable, Mapping
from pathlib import Path

from core.errors import RepositoryError
from core.files import write_atomic
from serving.protocol.model_config import PART, WHOLE, ModelConfig
from serving.protocol.pbtxt import parse, parse_lenient, render
from serving.repository.layout import CONFIG, CONFIGS, THIN, names_of


def read_config(model: Path) -> ModelConfig:
    """The configuration of the model in the directory ``model``. Raises RepositoryError if it is not one of ours."""
    return _parsed(model, parse)


def read_config_lenient(model: Path) -> ModelConfig:
    """As ``read_config``, of a model that anyone may have configured: what ModelConfig does not hold is left out."""
    return _parsed(model, parse_lenient)


def configs_of(generator: str, repository: Path) -> dict[str, ModelConfig]:
    """How the generator and its companions are configured, by name; those that are not there are left out."""
    places = (repository / name for name in names_of(generator))
    return {place.name: read_config(place) for place in places if place.exists()}


def write_configs(model: Path, config: ModelConfig, engines: Mapping[str, ModelConfig]) -> None:
    """Configure the model in the directory ``model``; ``engines`` are other ways to run it, by name."""
    for engine, other in engines.items():
        write_atomic(model / CONFIGS / f"{engine}.pbtxt", render(other))
    write_atomic(model / CONFIG, render(config))


def is_part(model: Path, whole: str, part: str) -> bool:
    """Whether the model in the directory ``model`` is that part of the generator ``whole``, and not someone else's."""
    try:
        parameters = read_config_lenient(model).parameters
    except RepositoryError:
        return False
    return (parameters.get(PART), parameters.get(WHOLE)) == (part, whole)


def asks_others(config: ModelConfig) -> bool:
    """Whether a model asks others within the server: an ensemble, or one for thin clients."""
    return bool(config.steps) or config.parameters.get(PART) in THIN


def _parsed(model: Path, parser: Callable[[str], ModelConfig]) -> ModelConfig:
    try:
        text = _text_of(model)
        parse_lenient(text)  # which says it best where the text was cut short
        return parser(text)
    except RepositoryError as error:
        raise RepositoryError(f"{model / CONFIG}: {error}") from None


def _text_of(model: Path) -> str:
    try:
        return (model / CONFIG).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        why = "it is not text"
    except OSError as error:
        why = error.strerror or str(error)
    raise RepositoryError(f"it cannot be read ({why}): delete {model} and publish again")
