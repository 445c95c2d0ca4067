"""Recipes of 2018 and later, with all of their numbers."""

from trainer.settings.config import TrainConfig


def progressive() -> TrainConfig:
    """Karras et al. 2018 on one GPU: WGAN-GP with drift, 300 thousand images a phase, larger batches while small."""
    return TrainConfig(
        preset="progressive",
        family="progressive",
        system="progressive",
        generator={"width": 64, "widest": 512},
        discriminator={"width": 64, "widest": 512},
        latent_dim=512,
        loss="wasserstein",
        gradient_penalty=10.0,
        drift=0.001,
        learning_rate_g=1e-3,
        learning_rate_d=1e-3,
        beta1=0.0,
        beta2=0.99,
        growth={"stable_kimg": [300], "fade_kimg": [300], "batch": [2, 2, 2, 1], "rate": [1]},
        batch=64,
        kimg=6000.0,
        preview_kimg=50.0,
        checkpoint_kimg=100.0,
    )


def progressive_cpu() -> TrainConfig:
    """Progressive growing that two cores train in minutes at 32x32: narrow, and soon at the full size.

    The critic is the narrower of the two, because the penalty makes it the dearer, and learns twice as fast: with
    equal rates it falls behind in every fade.
    """
    return TrainConfig(
        preset="progressive-cpu",
        family="progressive",
        system="progressive",
        generator={"width": 32, "widest": 128},
        discriminator={"width": 16, "widest": 128},
        latent_dim=128,
        loss="wasserstein",
        gradient_penalty=10.0,
        penalty_every=4,
        drift=0.001,
        augment=("translation",),
        learning_rate_g=2e-3,
        learning_rate_d=4e-3,
        beta1=0.0,
        beta2=0.99,
        ema_kimg=10.0,
        growth={"stable_kimg": [6], "fade_kimg": [6], "batch": [1], "rate": [1]},
        schedule_kimg=190.0,
        final={"learning_rate_g": 2e-4, "learning_rate_d": 4e-4},
        batch=16,
        kimg=190.0,
    )


def stylegan_lite() -> TrainConfig:
    """Karras et al. 2020 made small, for one GPU: narrower, with the numbers of configuration F."""
    return TrainConfig(
        preset="stylegan-lite",
        family="style",
        system="style",
        generator={"width": 64, "style_dim": 512, "mapping_layers": 8},
        discriminator={"width": 64},
        latent_dim=512,
        regularise={"mixing": 0.9, "path_length": 2.0, "path_length_every": 8},
        r1_gamma=0.5,
        penalty_every=16,
        learning_rate_g=2e-3,
        learning_rate_d=2e-3,
        beta1=0.0,
        beta2=0.99,
        batch=32,
        kimg=3000.0,
        preview_kimg=25.0,
        checkpoint_kimg=100.0,
    )


def stylegan_lite_cpu() -> TrainConfig:
    """A style-based generator that two cores train in minutes at 32x32.

    As Karras et al. 2020 ("Training Generative Adversarial Networks with Limited Data", appendix C.1) do for small
    images: two mapping layers, no mixed styles, no path length. Small batches make more steps of few images, and
    the noise learns slowly, because early on it takes the place of detail.
    """
    return TrainConfig(
        preset="stylegan-lite-cpu",
        family="style",
        system="style",
        generator={"width": 32, "style_dim": 128, "mapping_layers": 2, "noise_rate": 0.02},
        discriminator={"width": 16},
        latent_dim=128,
        regularise={"mixing": 0.0, "path_length": 0.0},
        r1_gamma=0.05,
        penalty_every=8,
        augment=("translation",),
        learning_rate_g=2.5e-3,
        learning_rate_d=2.5e-3,
        beta1=0.0,
        beta2=0.99,
        ema_kimg=20.0,
        schedule_kimg=236.0,
        final={"learning_rate_g": 2.5e-4, "learning_rate_d": 2.5e-4},
        batch=16,
        kimg=236.0,
    )


def r3gan() -> TrainConfig:
    """Huang et al. 2024 at 64x64 on one GPU; other sizes want another γ.

    The paper's blocks and schedules, half as wide and in batches of 64: its own width and batch of 256 on several GPUs
    need more than the 80 GB of one.
    """
    network = {"width": 192, "widest": 2, "blocks": 2, "expansion": 2, "group": 16}
    return TrainConfig(
        preset="r3gan",
        family="r3gan",
        generator=network,
        discriminator=network,
        latent_dim=64,
        loss="relativistic",
        r1_gamma=2.0,
        r2_gamma=2.0,
        augment=("colour", "translation"),
        augment_p=0.0,
        learning_rate_g=2e-4,
        learning_rate_d=2e-4,
        beta1=0.0,
        beta2=0.9,
        ema_kimg=500.0,
        schedule_kimg=5000.0,
        final={
            "learning_rate_g": 5e-5,
            "learning_rate_d": 5e-5,
            "beta2": 0.99,
            "r1_gamma": 0.2,
            "r2_gamma": 0.2,
            "augment_p": 0.3,
        },
        batch=64,
        kimg=5000.0,
        log_kimg=5.0,
        preview_kimg=100.0,
        checkpoint_kimg=250.0,
    )


def r3gan_cpu() -> TrainConfig:
    """R3GAN that two cores train in minutes at 32x32: one block a stage with a plain 3x3 convolution, lazy penalties.

    Grouped convolutions, differentiated twice, cost two cores more than plain ones of half the channels; and the
    discriminator, which both penalties go through, costs more than the generator, so it is narrower.
    """
    block = {"widest": 8, "blocks": 1, "expansion": 1, "group": 0}
    return TrainConfig(
        preset="r3gan-cpu",
        family="r3gan",
        generator={"width": 32, **block},
        discriminator={"width": 16, **block},
        latent_dim=64,
        loss="relativistic",
        r1_gamma=0.05,
        r2_gamma=0.05,
        penalty_every=8,
        learning_rate_g=8e-4,
        learning_rate_d=8e-4,
        beta1=0.0,
        beta2=0.99,
        ema_kimg=20.0,
        schedule_kimg=250.0,
        final={"learning_rate_g": 5e-5, "learning_rate_d": 5e-5, "r1_gamma": 0.01, "r2_gamma": 0.01},
        batch=16,
        kimg=250.0,
    )
