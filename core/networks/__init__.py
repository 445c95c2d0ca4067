"""The network families, by name. A new family is a file here and a line in each dict."""

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from core.errors import SpecError
from core.networks.base import Discriminator, Generator, Maker, Translator
from core.networks.biggan import BigGANDiscriminator, BigGANGenerator
from core.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from core.networks.mlp import MLPDiscriminator, MLPGenerator
from core.networks.patch import PatchDiscriminator
from core.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from core.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from core.networks.resnet import ResNet
from core.networks.stacked import StackedDiscriminator, StackedGenerator
from core.networks.style import StyleDiscriminator, StyleGenerator
from core.networks.unet import UNet
from core.networks.upconv import UpConvDiscriminator, UpConvGenerator
from core.spec import GeneratorSpec

GENERATORS: dict[str, type[Generator]] = {
    "biggan": BigGANGenerator,
    "dcgan": DCGANGenerator,
    "mlp": MLPGenerator,
    "progressive": ProgressiveGenerator,
    "r3gan": R3GANGenerator,
    "stacked": StackedGenerator,
    "style": StyleGenerator,
    "upconv": UpConvGenerator,
}

DISCRIMINATORS: dict[str, type[Discriminator]] = {
    "biggan": BigGANDiscriminator,
    "dcgan": DCGANDiscriminator,
    "mlp": MLPDiscriminator,
    "progressive": ProgressiveDiscriminator,
    "r3gan": R3GANDiscriminator,
    "resnet": PatchDiscriminator,
    "stacked": StackedDiscriminator,
    "style": StyleDiscriminator,
    "unet": PatchDiscriminator,
    "upconv": UpConvDiscriminator,
}


TRANSLATORS: dict[str, type[Translator]] = {
    "resnet": ResNet,
    "unet": UNet,
}


def build_maker(spec: GeneratorSpec) -> Maker:
    """The generator or translator that ``spec`` describes, freshly initialised from torch's global random state."""
    return build_translator(spec) if spec.kind == "image" else build_generator(spec)


def build_translator(spec: GeneratorSpec) -> Translator:
    """The translator that ``spec`` describes, freshly initialised from torch's global random state."""
    return _build(TRANSLATORS, spec.family, spec, spec.options)


def build_generator(spec: GeneratorSpec) -> Generator:
    """The generator that ``spec`` describes, freshly initialised from torch's global random state."""
    generator = _build(GENERATORS, spec.family, spec, spec.options)
    if spec.noise not in (0, generator.noise_dim):
        raise SpecError(f"{spec.family} takes {generator.noise_dim} noise values at this size, not {spec.noise}")
    return generator


def build_discriminator(family: str, spec: GeneratorSpec, options: Mapping[str, Any]) -> Discriminator:
    """A discriminator of ``family`` for the images of ``spec``, initialised from torch's global random state."""
    return _build(DISCRIMINATORS, family, spec, options)


Network = TypeVar("Network", Generator, Translator, Discriminator)


def _build(table: Mapping[str, type[Network]], family: str, spec: GeneratorSpec, options: Mapping[str, Any]) -> Network:
    if family not in table:
        raise SpecError(f"there is no network family '{family}': choose from {', '.join(table)}")
    network = table[family]
    _check_options(family, inspect.signature(network).parameters, options)
    return network(spec, **options)


def _check_options(family: str, known: Mapping[str, inspect.Parameter], options: Mapping[str, Any]) -> None:
    """Raise SpecError unless every option is one of the network's, with a value like its default."""
    for name, value in options.items():
        if name not in list(known)[1:]:  # the first is the spec
            raise SpecError(f"{family} has no option '{name}': it has {', '.join(list(known)[1:])}")
        default = known[name].default
        alike = isinstance(value, int | float) if type(default) is float else type(value) is type(default)
        if not alike or (isinstance(value, bool) and type(default) is not bool):
            raise SpecError(f"{family}'s option {name} is {value!r}: it must look like {default!r}")
