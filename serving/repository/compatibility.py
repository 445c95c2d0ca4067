"""Whether a version fits the model that it is to become one of: the versions of a model share one configuration."""

from core.errors import RepositoryError, SpecError
from core.images import CHANNEL_NAMES
from core.spec import GeneratorSpec
from serving.protocol.model_config import PART, SPEC, WHOLE, ModelConfig, listed
from serving.repository.layout import THIN


def check_fits(existing: ModelConfig, config: ModelConfig) -> None:
    """Raise RepositoryError, which says how they differ, unless both have the same role, inputs and outputs."""
    was, becomes = _role(existing), _role(config)
    if was != becomes:
        raise RepositoryError(f"'{config.name}' is already {was}, so it cannot be {becomes}: choose another --name")
    if config.parameters.get(PART) in THIN:
        return  # what they take and give is ours, and newer versions of Ganfoundry add to it
    if set(existing.inputs) != set(config.inputs) or set(existing.outputs) != set(config.outputs):
        raise RepositoryError(f"{_difference(existing, config)}: publish it under another --name")


def _role(config: ModelConfig) -> str:
    if PART not in config.parameters:
        return "a model of its own"
    return f"the {config.parameters[PART]} of '{config.parameters.get(WHOLE, '')}'"


def _difference(existing: ModelConfig, config: ModelConfig) -> str:
    """How a bundle differs from the generator that is there: as people call it, or else as Triton has it."""
    pairs = [(new, old) for new, old in zip(_facts(config), _facts(existing), strict=False) if new != old]
    if not pairs:
        pairs = [(_tensors(config), _tensors(existing))]
    new, old = (" and ".join(each) for each in zip(*pairs, strict=True))
    return f"this bundle {new}, and '{config.name}' {old}"


def _facts(config: ModelConfig) -> list[str]:
    """What a client must know of a generator; nothing where its configuration does not say."""
    try:
        spec = GeneratorSpec.from_json(config.parameters[SPEC])
    except (KeyError, SpecError):
        return []

    made = f"makes {CHANNEL_NAMES[spec.channels]} images of {spec.width}x{spec.height}"
    if (taken := spec.source) is not None:
        return [made, f"translates {CHANNEL_NAMES[taken.channels]} pictures of {taken.width}x{taken.height}"]

    return [
        made,
        f"takes {spec.latent_dim} latent values",
        "has classes" if spec.classes else "has no classes",
        f"takes {spec.codes} codes",
        f"takes {spec.noise} noise values",
    ]


def _tensors(config: ModelConfig) -> str:
    return f"takes {listed(config.inputs)} and gives {listed(config.outputs)}"
