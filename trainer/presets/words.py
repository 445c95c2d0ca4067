"""Every setting of a run in words, for those who look at a recipe or wonder what ``--set`` may name."""

from dataclasses import fields
from typing import Any

from trainer.config import TrainConfig

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
    "r2_gamma": "the same around made images",
    "gradient_penalty": "how firmly its slope is held at 1 between the two (WGAN-GP)",
    "drift": "how firmly its scores are held near 0",
    "penalty_every": "these three are taken in every so many rounds, and count as much more",
    "clip": "the largest weight it may have, as in WGAN; 0 for any",
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
    "beta2": "how long it remembers a size",
    "ema_kimg": "thousand images in which the average that is kept forgets half; more is smoother and later",
    "ema_ramp": "how much of its age that average may remember while it is young",
    "schedule_kimg": "thousand images after which the settings under final are reached; 0 if none moves",
    "final": "settings that move on the way, and where they end",
    "changed": "settings that were changed by hand, by images seen",
    # What only some systems have.
    "growth": "of growing networks: how long each size stands and fades, and batches and rates by size",
    "heads": "of classes and codes that the discriminator names: how many there are and how much they count",
    "regularise": "of style generators: mixed styles and path length",
    "stack": "of stacked networks: how long each part learns and what its terms count",
    # How long, and what is shown.
    "batch": "images a round",
    "kimg": "length of the run in thousand images seen",
    "seed": "fixes every random draw; another makes another run",
    "log_kimg": "thousand images between two lines of the log",
    "preview_kimg": "thousand images between two sheets of samples",
    "checkpoint_kimg": "thousand images between two saved states",
    "previews": "pictures on such a sheet",
    "metric_kimg": "thousand images between two looks at KID, of which the best generator is kept; 0 for none",
    "metric_samples": "pictures made for each of them",
    "tensorboard": "whether TensorBoard's files are written, too",
    "device": "where it is computed",
    "precision": "of numbers inside the networks: fp32, or bf16 where the hardware is fast in it",
    "channels_last": "the order of numbers in memory; it changes speed, and last bits",
}


def in_use(config: TrainConfig) -> list[tuple[str, str, str]]:
    """The name, the value and the words of each setting of ``config``; options that it has none of are left out."""
    values = ((field.name, getattr(config, field.name)) for field in fields(config))
    return [(name, _text(value), WORDS[name]) for name, value in values if value not in ({}, ()) and name != "preset"]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
