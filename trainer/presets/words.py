"""Every setting of a run in words, for those who look at a recipe or wonder what ``--set`` may name."""

from dataclasses import fields
from typing import Any

from trainer.settings.config import TrainConfig

WORDS: dict[str, str] = {
    # What plays.
    "preset": "the recipe that the other settings began with",
    "family": "the kind of networks",
    "system": "how the networks play against each other",
    "generator": "the generator's own options, such as its width (more is finer and slower)",
    "discriminator": "the discriminator's own options",
    "latent_dim": "how many random numbers a picture is made of",
    "conditional": "whether the pack's classes are learned, so that one may ask for them",
    "balance": "whether every class is shown equally often, however many images it has",
    # What each is told.
    "loss": "how the discriminator's verdicts become a score",
    "loss_options": "numbers of that loss",
    "real_labels": "what real images count as, from and to: 0.9,0.9 makes the discriminator less sure of itself",
    "fake_labels": "what made images count as, from and to",
    "r1_gamma": "how flat the discriminator must be around real images; more is steadier and slower to learn",
    "r2_gamma": "how flat the discriminator must be around made images",
    "gradient_penalty": "how firmly its slope is held at 1 between real and made images (WGAN-GP)",
    "drift": "how firmly the critic's scores are held near 0",
    "penalty_every": "how rarely R1, R2 and the gradient penalty are taken; they then count as much more",
    "clip": "the largest weight that the critic may have, as in WGAN; 0 for any",
    "orthogonal": "how firmly the generator's weights are held at right angles (BigGAN)",
    "critic_steps": "rounds of the discriminator for one of the generator",
    # What the discriminator sees.
    "augment": "changes to images before the discriminator sees them, which keep it from knowing few images by heart",
    "augment_p": "the share of images that each change touches; the most where it adapts",
    "augment_target": "adapt that share until the discriminator is this sure of real images; 0 for a fixed share",
    # How they move.
    "optimiser": "how weights follow their gradients",
    "learning_rate_g": "how far the generator moves a round; less is steadier",
    "learning_rate_d": "how far the discriminator moves a round",
    "beta1": "how long the optimiser remembers a direction",
    "beta2": "how long the optimiser remembers how large gradients were",
    "ema_kimg": "thousand images in which the average that is kept forgets half; more is smoother and later",
    "ema_ramp": "how much of its age that average may remember while it is young",
    "schedule": "how they get there: cosine, or linear",
    "schedule_from": "thousand images before which the settings under final stay as they are",
    "schedule_kimg": "thousand images after which the settings under final are reached; 0 if none moves",
    "final": "settings that move on the way, and where they end",
    "changed": "settings that were changed by hand, by images seen",
    # What only some systems have.
    "growth": "of growing networks: how long each size stands and fades, and batches and rates by size",
    "heads": "of classes and codes that the discriminator names: how many there are and how much they count",
    "regularise": "of style generators: mixed styles and path length",
    "pairing": "of translators with pairs: how much the right answer and the discriminator count",
    "cycle": "of translators without pairs: how much each error counts, and how many results are shown again",
    "corruption": "of autoencoders: what is done to images that is to be undone",
    "stack": "of stacked networks: how long each part learns and what its terms count",
    # How long, and what is shown.
    "batch": "images a round",
    "kimg": "length of the run in thousand images seen",
    "seed": "fixes every random draw; another makes another run",
    "log_kimg": "thousand images between two lines of the log",
    "preview_kimg": "thousand images between two sheets of samples",
    "checkpoint_kimg": "thousand images between two saved states",
    "previews": "pictures on a sheet of samples",
    "metric_kimg": "thousand images between two looks at KID, or L1 of pairs, the best of which is kept; 0 for none",
    "metric_samples": "pictures made for each look; of a translator at most those of the validation part",
    "metric_reals": "images of the pack that KID compares them with; 0 for all, of large packs 10,000",
    "tensorboard": "whether TensorBoard's files are written, too",
    "device": "where it is computed",
    "precision": "of numbers inside the networks: fp32, or bf16 where the hardware is fast in it",
    "channels_last": "the order of numbers in memory; it changes speed, and last bits",
}

# What the options of networks, losses and systems do, by SECTION.OPTION where a name means something else elsewhere.
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
    # Of growing networks.
    "stable_kimg": "how long each size is trained before the next fades in, from the smallest size on",
    "fade_kimg": "how long each size takes to fade in",
    "growth.batch": "what the batch is multiplied by, at each size",
    "rate": "what the learning rates are multiplied by, at each size",
    # Of heads.
    "label": "how much it counts that the discriminator names the class",
    "fakes": "how much of that it learns from made images",
    "categories": "how many kinds InfoGAN is to find by itself",
    "codes": "how many continuous knobs it is to find",
    "category": "how much it counts that the kind can be read off a picture",
    "code": "how much it counts that the knobs can be read off it",
    # Of style generators.
    "mixing": "the share of pictures that are made of two styles",
    "path_length": "how evenly pictures are to change with their style; 0 for not at all",
    "path_length_every": "how rarely that is looked at",
    # Of translators.
    "l1": "how much the distance to the right answer counts",
    "pairing.adversarial": "how much the discriminator's verdict counts; 0 for no discriminator",
    "cycle.adversarial": "how much the discriminators' verdicts count",
    "cycle.cycle": "how much it counts that the way there and back leads to where it began",
    "identity": "how much it counts, as a share of that, that pictures of the right kind already stay as they are",
    "pool": "how many earlier results the discriminators may be shown again",
    "kind": "what is done to images: noise, colourless, smaller, hole or jpeg",
    "strength": "how much: levels of noise, times smaller, share of each side, quality of a JPEG",
    # Of stacks.
    "encoder_kimg": "how long the encoder learns alone",
    "apart_kimg": "how long each level then learns on the encoder's features",
    "conditional": "how much it counts that features lead back to their class",
    "features": "how much it counts that a picture leads back to its features",
    "entropy": "how much it counts that the noise can be read off again",
}
UNITS: dict[str, str] = {
    **dict.fromkeys(
        ("kimg", "ema_kimg", "schedule_from", "schedule_kimg", "log_kimg", "preview_kimg", "checkpoint_kimg"), "kimg"
    ),
    **dict.fromkeys(("metric_kimg", "stable_kimg", "fade_kimg", "encoder_kimg", "apart_kimg"), "kimg"),
    **dict.fromkeys(("penalty_every", "critic_steps", "path_length_every"), "rounds"),
    **dict.fromkeys(("batch", "metric_reals"), "images"),
    **dict.fromkeys(("previews", "metric_samples"), "pictures"),
    **dict.fromkeys(("augment_p", "mixing", "ema_ramp"), "share, 0 to 1"),
    **dict.fromkeys(("real_labels", "fake_labels"), "0 to 1"),
    **dict.fromkeys(("latent_dim", "style_dim", "embedding"), "numbers"),
    **dict.fromkeys(("width", "group"), "channels"),
    **dict.fromkeys(("learning_rate_g", "learning_rate_d"), "a round"),
    **dict.fromkeys(("beta1", "beta2"), "share a round"),
    "augment_target": "mean sign, 0 to 1",
    "attention": "pixels",
    "growth.batch": "times",
    "growth.rate": "times",
}


def in_use(config: TrainConfig) -> list[tuple[str, str, str]]:
    """The name, the value and the words of each setting of ``config``; options that it has none of are left out."""
    values = ((field.name, getattr(config, field.name)) for field in fields(config))
    return [(name, in_text(value), WORDS[name]) for name, value in values if value not in ({}, ()) and name != "preset"]


def in_text(value: Any) -> str:
    """A value as ``--set`` takes it, but for whole sections and yes or no."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_text(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(in_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
