"""The network families, by name. A new family is a file here and a line in each dict."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from core.errors import SpecError
from core.networks.base import Discriminator, Generator
from core.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from core.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from core.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from core.networks.style import StyleDiscriminator, StyleGenerator
from core.spec import GeneratorSpec

GENERATORS: dict[str, Callable[..., Generator]] = {
    "dcgan": DCGANGenerator,
    "progressive": ProgressiveGenerator,
    "r3gan": R3GANGenerator,
    "style": StyleGenerator,
}

DISCRIMINATORS: dict[str, Callable[..., Discriminator]] = {
    "dcgan": DCGANDiscriminator,
    "progressive": ProgressiveDiscriminator,
    "r3gan": R3GANDiscriminator,
    "style": StyleDiscriminator,
}


def build_generator(spec: GeneratorSpec) -> Generator:
    """The generator that ``spec`` describes, freshly initialised from torch's global random state."""
    return _build(GENERATORS, spec.family, spec, spec.options)


def build_discriminator(family: str, spec: GeneratorSpec, options: Mapping[str, Any]) -> Discriminator:
    """A discriminator of ``family`` for the images of ``spec``, initialised from torch's global random state."""
    return _build(DISCRIMINATORS, family, spec, options)


Network = TypeVar("Network", Generator, Discriminator)


def _build(
    table: Mapping[str, Callable[..., Network]], family: str, spec: GeneratorSpec, options: Mapping[str, Any]
) -> Network:
    if family not in table:
        raise SpecError(f"there is no network family '{family}': choose from {', '.join(table)}")
    try:
        return table[family](spec, **options)
    except TypeError as error:
        raise SpecError(f"the options of {family} do not fit: {error}") from None
