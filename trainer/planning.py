"""What a run would be, before anything is trained: the plan that a config and a pack come to, and its networks."""

from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import ConfigError, DataError
from core.networks import GENERATORS, TRANSLATORS
from core.networks.base import Discriminator, Maker
from core.networks.patch import PatchDiscriminator
from core.spec import AUTO, GeneratorSpec, Provenance, SourceSpec
from trainer.data.pack import Pack, PackInfo
from trainer.objective.corruption import SOURCES, Corruption
from trainer.settings.config import TrainConfig
from trainer.settings.heads import Heads
from trainer.systems import TRANSLATING, build_system, check_system


@dataclass(frozen=True)
class Plan:
    """What a run would be: shown by ``--dry-run``, started by ``train``."""

    config: TrainConfig
    spec: GeneratorSpec
    device: torch.device
    pack: Pack


def plan(config: TrainConfig, pack: Pack) -> Plan:
    """Everything that follows from a config and a pack. Raises ConfigError or DataError if they do not fit."""
    seen = len(pack.rows("train"))
    if seen < 2:
        raise DataError(f"the pack {pack.info.name} has {seen} image to train on: training needs at least 2")
    info = pack.info
    config = config.settled(info.distinct or len(pack))

    # Classes: whether there are any to learn
    _check_conditions(config, Heads.of(config.heads))
    if config.conditional and pack.labels is None:
        raise ConfigError(
            f"the pack {info.name} has no labels: import it with --labels folders, or do without --conditional"
        )
    if config.balance and not config.conditional:
        raise ConfigError("--balance is of classes, and this run learns none: add --conditional, or leave it out")

    # What the generator is to be, and whether the system can train it
    spec = spec_of(config, info)
    if config.conditional and spec.found_its_classes:
        raise ConfigError(
            f"the pack {info.name} calls its classes {spec.classes[0]} and on, as only those are called that a "
            "generator finds by itself: import it again with other names, or do without --conditional"
        )
    check_system(config, spec)
    return Plan(config, spec, pick_device(config.device), pack)


def spec_of(config: TrainConfig, info: PackInfo) -> GeneratorSpec:
    """What a run of ``config`` on a pack makes: the pack's images, its classes or those of the heads, their codes."""
    heads = Heads.of(config.heads)
    source = source_of(config, info)
    shown = info.sources if source and source.origin == SOURCES else None  # whose licence counts, too

    return GeneratorSpec(
        family=config.family,
        height=info.height,
        width=info.width,
        channels=info.channels,
        latent_dim=0 if source else config.latent_dim,
        kind="image" if source else "noise",
        source=source,
        classes=info.classes if config.conditional else heads.names,
        codes=int(heads.codes),
        options=config.generator,
        provenance=Provenance(
            preset=config.preset,
            data_name=info.name,
            data_fingerprint=info.fingerprint,
            data_licence=info.licence,
            data_attribution=info.attribution,
            source_licence=shown.licence if shown else "",
            source_attribution=shown.attribution if shown else "",
            code_version=code_version(),
        ),
    )


def source_of(config: TrainConfig, info: PackInfo) -> SourceSpec | None:
    """What a translator of ``config`` takes: the pack's sources, or what its images are made to be; None for others.

    Raises ConfigError where the pack has no such sources.
    """
    if config.system not in TRANSLATING:
        return None
    sources = info.sources

    # Made of the images themselves, unless the pack has what an autoencoder would make
    corruption = Corruption.of(config.corruption)
    given = sources is not None and sources.paired and corruption.kind == "colourless"  # line art, say
    if config.system == "autoencoder" and not given:
        made = corruption.source_of(info.height, info.width, info.channels)
        return replace(made, fit=info.options.get("fit", "pad"), resample=info.options.get("resample", AUTO))

    # The pack's own
    if sources is None:
        raise ConfigError(
            f"the pack {info.name} holds no sources to translate: import it with --sources, --side-by-side or "
            "--unpaired, or learn without any, such as with --preset denoise-cpu"
        )
    if config.system == "paired" and not sources.paired:
        raise ConfigError(
            f"the sources of the pack {info.name} belong to no image of it (--unpaired): use --preset cyclegan-cpu"
        )
    return SourceSpec(sources.height, sources.width, sources.channels, sources.fit, sources.resample)


def _check_conditions(config: TrainConfig, heads: Heads) -> None:
    """Raise ConfigError for classes or codes that the generator cannot learn, or that exclude each other."""
    kind: type[Maker] = {**GENERATORS, **TRANSLATORS}[config.family]
    if (config.conditional or heads.categories) and not kind.learns_classes:
        able = ", ".join(name for name, network in GENERATORS.items() if network.learns_classes)
        raise ConfigError(f"{config.family} does not learn classes: omit --conditional, or use a preset of {able}")
    if heads.codes and not kind.learns_codes:
        able = ", ".join(name for name, network in GENERATORS.items() if network.learns_codes)
        raise ConfigError(f"{config.family} does not learn codes: leave heads.codes at 0, or use a family of {able}")
    if config.conditional and heads.categories:
        raise ConfigError("--conditional gives the pack's classes and heads.categories others: choose one of them")


@dataclass(frozen=True)
class Layer:
    """One leaf module: its name in the network, its kind, the shape it gives for a batch of 1, its parameters."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def describe(planned: Plan) -> dict[str, list[Layer]]:
    """Every network of the run, layer by layer, for a batch of one."""
    system = build_system(planned.config, planned.spec, torch.device("cpu"))
    return {
        name: layers(network, *_example(network, planned.spec))
        for name, network in system.networks.items()
        if any(True for _ in network.parameters())  # others only keep averages
    }


def layers(network: nn.Module, *example: Tensor) -> list[Layer]:
    """The layers of ``network`` in the order a batch passes them, found by passing ``example`` through."""
    rows: list[Layer] = []
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        shape = tuple(output.shape) if isinstance(output, Tensor) else ()
        count = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        rows.append(Layer(names[module], type(module).__name__, shape, count))

    leaves = [module for module in network.modules() if not any(True for _ in module.children())]
    handles = [leaf.register_forward_hook(note) for leaf in leaves]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(*example)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return rows


def _example(network: nn.Module, spec: GeneratorSpec) -> tuple[Tensor, ...]:
    """What passes through ``network``, all zeros: a latent, an image, or what the first layer of a head takes."""
    if isinstance(network, Maker | PatchDiscriminator):
        return network.example()
    if any(isinstance(layer, nn.Conv2d) for layer in network.modules()) or isinstance(network, Discriminator):
        return (torch.zeros(1, spec.channels, spec.height, spec.width),)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Linear))
    return (torch.zeros(1, first.in_features),)


def use_threads(threads: int | None) -> None:
    """Compute with so many threads; None leaves it to PyTorch, which takes one for each core."""
    if threads is not None:
        torch.set_num_threads(threads)


def pick_device(name: str) -> torch.device:
    """``auto`` is the accelerator if there is one, else the CPU. Raises ConfigError for one that is not there."""
    if name == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(f"--device {name}: there is no such device here (try auto or cpu)") from None
    return device


def code_version() -> str:
    """The installed version of Ganfoundry."""
    try:
        return version("ganfoundry")
    except PackageNotFoundError:
        return "unknown"
