"""``PRESETS``: every recipe, with all of its numbers. A new one is a function here in the package and a line below."""

from collections.abc import Callable, Iterable
from typing import Any

from trainer.presets.classics import (
    acgan,
    biggan_lite,
    cgan,
    dcgan_28,
    dcgan_keras,
    infogan,
    lsgan,
    mlp_gan,
    stackedgan,
    upconv_gan,
    wgan,
    wgan_gp,
)
from trainer.presets.dcgan import dcgan, dcgan_cpu
from trainer.presets.modern import (
    progressive,
    progressive_cpu,
    r3gan,
    r3gan_cpu,
    stylegan_lite,
    stylegan_lite_cpu,
)
from trainer.presets.settings import set_all
from trainer.presets.translators import (
    colourise_cpu,
    cyclegan,
    cyclegan_cpu,
    denoise_cpu,
    pix2pix,
    pix2pix_cpu,
    upscale_cpu,
)
from trainer.settings.config import TrainConfig
from trainer.settings.fields import one_of

PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "acgan": acgan,
    "biggan-lite": biggan_lite,
    "cgan": cgan,
    "colourise-cpu": colourise_cpu,
    "cyclegan": cyclegan,
    "cyclegan-cpu": cyclegan_cpu,
    "dcgan": dcgan,
    "dcgan-28": dcgan_28,
    "dcgan-cpu": dcgan_cpu,
    "dcgan-keras": dcgan_keras,
    "denoise-cpu": denoise_cpu,
    "infogan": infogan,
    "lsgan": lsgan,
    "mlp-gan": mlp_gan,
    "pix2pix": pix2pix,
    "pix2pix-cpu": pix2pix_cpu,
    "progressive": progressive,
    "progressive-cpu": progressive_cpu,
    "r3gan": r3gan,
    "r3gan-cpu": r3gan_cpu,
    "stackedgan": stackedgan,
    "stylegan-lite": stylegan_lite,
    "stylegan-lite-cpu": stylegan_lite_cpu,
    "upconv-gan": upconv_gan,
    "upscale-cpu": upscale_cpu,
    "wgan": wgan,
    "wgan-gp": wgan_gp,
}


def resolve(preset: str, settings: Iterable[str] = (), **changes: Any) -> TrainConfig:
    """The preset with ``changes`` and ``settings`` on top, as ``trainer.presets.settings.set_all`` reads them."""
    one_of("--preset", preset, PRESETS)
    return set_all(PRESETS[preset](), settings, changes)
