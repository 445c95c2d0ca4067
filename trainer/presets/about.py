"""What a person wants to know of a preset before choosing it: ``cli.py presets``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """The paper, the images it is sized for, what it is good for, and how long it takes.

    ``minutes`` are those of two CPU cores for the preset's own length at ``size``, ``gpu`` images/s of one H100 at
    ``size``, both measured (benchmarks/RESULTS.md); None where nobody has. The classics shared that GPU
    with others: they do at least that. ``kid`` is the KID-lite0 it came to (2,000 samples): at 32x32 of OpenMoji, at
    28x28 of 5,000 digits.
    """

    paper: str
    size: str
    good_for: str
    minutes: float | None = None
    gpu: float | None = None
    kid: float | None = None


# By what a person wants, the likeliest first; in each, the one to begin with first.
JOBS: dict[str, tuple[str, ...]] = {
    "sprites, without a GPU": ("dcgan-cpu", "r3gan-cpu", "stylegan-lite-cpu", "progressive-cpu"),
    "larger images, on a GPU": ("stylegan-lite", "dcgan", "r3gan", "progressive"),
    "images of images, without a GPU": (
        *("pix2pix-cpu", "cyclegan-cpu", "colourise-cpu", "denoise-cpu", "upscale-cpu"),
    ),
    "images of images, on a GPU": ("pix2pix", "cyclegan"),
    "classes and codes, as in the papers": ("cgan", "acgan", "biggan-lite", "infogan", "stackedgan"),
    "classics to learn from": ("mlp-gan", "dcgan-28", "upconv-gan", "lsgan", "wgan", "wgan-gp", "dcgan-keras"),
}
REFERENCE = "dcgan-cpu"  # the preset that a machine is measured by

ABOUT: dict[str, About] = {
    "acgan": About(
        "Odena et al. 2017", "28x28", "classes, by a discriminator that has to name them", minutes=7, kid=0.010
    ),
    "biggan-lite": About(
        "Brock et al. 2019", "28x28", "classes, with truncation for cleaner samples", minutes=10, kid=0.011
    ),
    "cgan": About("Mirza and Osindero 2014", "28x28", "classes, the simplest way", minutes=6, kid=0.009),
    "colourise-cpu": About("Vincent et al. 2008", "64x64", "colours for line art, or for grey images"),
    "cyclegan": About("Zhu et al. 2017", "256x256", "one style into another, without pairs; a GPU"),
    "cyclegan-cpu": About("Zhu et al. 2017", "64x64", "one style into another, without pairs"),
    "dcgan": About("Radford et al. 2016", "64x64", "the reference; a GPU", gpu=5000),
    "dcgan-28": About("Radford et al. 2016", "28x28", "digits, and anything of that size", minutes=5, kid=0.023),
    "dcgan-cpu": About(
        "Radford et al. 2016", "32x32", "sprites in minutes without a GPU", minutes=7, gpu=2400, kid=0.080
    ),
    "dcgan-keras": About("Radford et al. 2016", "64x64", "faces as in the many programs in Keras"),
    "denoise-cpu": About("Vincent et al. 2008", "64x64", "clean pictures from noisy ones"),
    "infogan": About("Chen et al. 2016", "28x28", "knobs that nobody had to label", minutes=10, kid=0.007),
    "lsgan": About("Mao et al. 2017", "28x28", "a steady loss where the logistic one saturates", minutes=5, kid=0.024),
    "mlp-gan": About("Goodfellow et al. 2014", "28x28", "to see what a GAN is, in minutes", minutes=3, kid=0.083),
    "pix2pix": About("Isola et al. 2017", "256x256", "pictures from pairs, crisp; a GPU"),
    "pix2pix-cpu": About("Isola et al. 2017", "64x64", "pictures from pairs, crisp"),
    "progressive": About("Karras et al. 2018", "64x64", "large images, grown; a GPU", gpu=760),
    "progressive-cpu": About("Karras et al. 2018", "32x32", "to see growing at work", minutes=19, gpu=590, kid=0.107),
    "r3gan": About("Huang et al. 2024", "64x64", "the cleanest images; a GPU", gpu=30),
    "r3gan-cpu": About(
        "Huang et al. 2024", "32x32", "the cleanest sprites, if it may take longer", minutes=20, gpu=610, kid=0.075
    ),
    "stackedgan": About("Huang et al. 2017", "28x28", "classes, by features of an encoder", minutes=7, kid=0.068),
    "stylegan-lite": About("Karras et al. 2020", "64x64", "styles to mix and edit; a GPU", gpu=490),
    "stylegan-lite-cpu": About(
        "Karras et al. 2020", "32x32", "styles to mix and edit, if it may take longer", minutes=20, gpu=470, kid=0.077
    ),
    "upconv-gan": About(
        "Odena, Dumoulin and Olah 2016", "28x28", "images without checkerboards", minutes=10, kid=0.031
    ),
    "upscale-cpu": About("Vincent et al. 2008", "64x64", "pictures twice as large"),
    "wgan": About("Arjovsky et al. 2017", "28x28", "a critic whose loss means something", minutes=11, kid=0.088),
    "wgan-gp": About(
        "Gulrajani et al. 2017", "28x28", "the same, without clipped weights", minutes=8, gpu=3100, kid=0.061
    ),
}


def reached(grey: bool) -> str:
    """What the presets came to, best first: on digits, or on sprites in colour."""
    size, images = ("28x28", "digits") if grey else ("32x32", "OpenMoji at 32x32")
    found = {name: each.kid for name, each in ABOUT.items() if each.size == size and each.kid is not None}
    named = [f"{name} {found[name]:.3f}" for name in sorted(found, key=lambda name: found[name])]
    return f"{', '.join(named)} on {images}"
