"""Settings in words, for those who look at a recipe or wonder what ``--set`` may name."""

from dataclasses import fields
from typing import Any

from trainer.settings.config import SETTINGS, TrainConfig

# What the options of networks and losses do, by SECTION.OPTION where a name means something else elsewhere. What other
# settings do stands beside them: trainer/settings/catalogue.py.
OPTIONS: dict[str, str] = {
    # Of networks.
    "width": "channels next to the image; more is finer and slower",
    "widest": "the most channels that a layer may have",
    "generator.widest": "the most channels that a layer may have, for R3GAN as a multiple of width",
    "discriminator.widest": "the most channels that a layer may have, for R3GAN as a multiple of width",
    "blocks": "layers, or blocks at each size; more is finer and slower",
    "expansion": "how much wider a block is inside than outside",
    "group": "channels that a convolution looks at together; 0 for all",
    "upsample": "how sizes double: transposed, or nearest, which makes no checkerboards",
    "slope": "how much of negative values a layer lets pass",
    "momentum": "how much of its average batch normalisation renews in a round",
    "extra": "further 3x3 convolutions at the full size",
    "norm": "how layers are normalised: batch, layer, instance, spectral or none, whichever the network has",
    "levels": "how often a source is halved; 0 as often as it can be",
    "up": "how sizes double: resize, which makes no checkerboards, or transposed, as in the papers",
    "stem": "whether the last layer sees the source at its own size, which keeps lines where they are",
    "residual": "whether the network makes the image or only what is to be added to the source",
    "dropout": "the share of values that the innermost layers lose, in training alone",
    "downs": "how often a picture of the target's size is halved",
    "field": "how many pixels wide the patch is that each verdict rests on",
    "minibatch_std": "whether it sees how much the pictures of a batch differ, which keeps them different",
    "embedding": "how many numbers describe a class",
    "attention": "the height at which distant parts of a picture see each other; 0 for nowhere",
    "generator.features": "how many features the upper level of a stack hands to the lower",
    "style_dim": "how many numbers a style has",
    "mapping_layers": "layers that turn random numbers into a style",
    "noise_rate": "how fast the strength of the noise is learned; less keeps grain out of short runs",
    "dense": "neurons of the layer before the verdict",
    "given": "whether the discriminator sees the source beside the image",
    # Of losses.
    "a": "what made images are to score",
    "b": "what real images are to score",
    "c": "what the generator wants its images to score",
    "sigmoid": "whether probabilities are compared in place of scores",
}
UNITS: dict[str, str] = {
    "style_dim": "numbers",
    "embedding": "numbers",
    "width": "channels",
    "group": "channels",
    "attention": "pixels",
}


def in_use(config: TrainConfig) -> list[tuple[str, str, str]]:
    """The name, the value and the words of each setting of ``config``; options that it has none of are left out."""
    values = ((field.name, getattr(config, field.name)) for field in fields(config))
    return [
        (name, in_text(value), SETTINGS[name].words)
        for name, value in values
        if value not in ({}, ()) and name != "preset"
    ]


def in_text(value: Any) -> str:
    """A value as ``--set`` takes it, but for whole sections and yes or no."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_text(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(in_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
