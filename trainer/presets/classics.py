"""The GANs that people learn from, with all of their numbers: sized so that two cores train each on 28x28 in minutes.

Each names a point on the same axes (network, loss, penalty, conditioning, who moves when); the options of ``train``
move along one of them. Batches of 32 are twice the steps of 64 in the same time, which taught InfoGAN its categories
twice as fast (benchmarks/RESULTS.md).
"""

from trainer.settings.config import TrainConfig


def mlp_gan() -> TrainConfig:
    """Goodfellow et al. 2014 with today's layers: two perceptrons and binary cross-entropy."""
    return TrainConfig(
        preset="mlp-gan",
        family="mlp",
        generator={"width": 256, "blocks": 3},
        discriminator={"width": 512, "blocks": 2},
        augment=(),
        batch=64,
        kimg=600.0,
        log_kimg=5.0,
        preview_kimg=50.0,
        checkpoint_kimg=200.0,
        channels_last=False,
    )


def upconv_gan() -> TrainConfig:
    """Resize-convolutions and pooling, least squares on probabilities, RMSprop: small, and without checkerboards.

    RMSprop's first steps are the rate over √(1 - ``beta2``): with 0.99 ten times the rate, after which the
    discriminator's sigmoid is flat before there is an image. R1 is an addition of ours, which took the specks away.
    """
    return TrainConfig(
        preset="upconv-gan",
        family="upconv",
        generator={"width": 64},
        discriminator={"width": 64},
        latent_dim=64,
        loss="least-squares",
        loss_options={"sigmoid": True},
        r1_gamma=0.2,
        penalty_every=8,
        optimiser="rmsprop",
        augment=(),
        learning_rate_g=4e-4,
        learning_rate_d=4e-4,
        beta1=0.0,
        beta2=0.9,
        batch=32,
        kimg=120.0,
    )


def dcgan_keras() -> TrainConfig:
    """The DCGAN of many anime-face programs in Keras: leaky generator, a 3x3 convolution more, noisy labels."""
    return TrainConfig(
        preset="dcgan-keras",
        generator={"width": 64, "slope": 0.2, "momentum": 0.5, "extra": 1},
        discriminator={"width": 64, "momentum": 0.5},
        real_labels=(0.8, 1.0),
        fake_labels=(0.0, 0.2),
        augment=(),
        learning_rate_g=1.5e-4,
        learning_rate_d=2e-4,
        batch=32,
        kimg=100.0,
    )


def dcgan_28() -> TrainConfig:
    """Radford et al. 2016 for images of 28x28: a 7x7 base, doubled twice, and halved twice."""
    return TrainConfig(
        preset="dcgan-28",
        generator={"width": 64},
        discriminator={"width": 64},
        augment=(),
        batch=32,
        kimg=120.0,
    )


def lsgan() -> TrainConfig:
    """Mao et al. 2017 with a = 0, b = c = 1, on a DCGAN."""
    return TrainConfig(
        preset="lsgan",
        generator={"width": 64},
        discriminator={"width": 64},
        loss="least-squares",
        loss_options={"a": 0.0, "b": 1.0, "c": 1.0},
        augment=(),
        learning_rate_g=5e-4,
        learning_rate_d=5e-4,
        batch=32,
        kimg=160.0,
    )


def wgan() -> TrainConfig:
    """Arjovsky et al. 2017, algorithm 1: five steps of a clipped critic for one of the generator, RMSprop.

    Layer norm is not the paper's. Its batch norm takes from real and generated images, which come in batches of their
    own, the very means that tell them apart.
    """
    return TrainConfig(
        preset="wgan",
        generator={"width": 64},
        discriminator={"width": 64, "norm": "layer"},
        loss="wasserstein",
        clip=0.01,
        critic_steps=5,
        optimiser="rmsprop",
        augment=(),
        learning_rate_g=5e-5,
        learning_rate_d=5e-5,
        beta1=0.0,
        beta2=0.99,
        batch=16,
        kimg=340.0,
    )


def wgan_gp() -> TrainConfig:
    """Gulrajani et al. 2017, algorithm 1: a gradient penalty of 10, layer norm in the critic."""
    return TrainConfig(
        preset="wgan-gp",
        generator={"width": 64},
        discriminator={"width": 64, "norm": "layer"},
        loss="wasserstein",
        gradient_penalty=10.0,
        critic_steps=5,
        augment=(),
        learning_rate_g=2e-4,
        learning_rate_d=2e-4,
        beta1=0.0,
        beta2=0.9,
        batch=32,
        kimg=200.0,
    )


def cgan() -> TrainConfig:
    """Mirza and Osindero 2014 on a DCGAN: the class is shown to both networks."""
    return TrainConfig(
        preset="cgan",
        generator={"width": 64},
        discriminator={"width": 64},
        conditional=True,
        augment=(),
        batch=32,
        kimg=160.0,
    )


def acgan() -> TrainConfig:
    """Odena et al. 2017: the discriminator is not shown the class, it has to say it, as real images teach it."""
    return TrainConfig(
        preset="acgan",
        system="heads",
        generator={"width": 64},
        discriminator={"width": 64},
        heads={"label": 1.0, "fakes": 0.1},
        conditional=True,
        augment=(),
        batch=32,
        kimg=160.0,
    )


def infogan() -> TrainConfig:
    """Chen et al. 2016: ten categories and two continuous codes that nobody named, to be read off the image again."""
    return TrainConfig(
        preset="infogan",
        system="heads",
        generator={"width": 64},
        discriminator={"width": 64},
        heads={"categories": 10, "codes": 2, "category": 1.0, "code": 0.5},
        latent_dim=62,
        augment=(),
        learning_rate_g=1e-3,
        learning_rate_d=2e-4,
        batch=32,
        kimg=250.0,
    )


def stackedgan() -> TrainConfig:
    """Huang et al. 2017: an encoder first, a GAN for its features and one for images, then both together."""
    return TrainConfig(
        preset="stackedgan",
        family="stacked",
        system="stacked",
        generator={"width": 32, "features": 128},
        discriminator={"width": 32},
        stack={"encoder_kimg": 20.0, "apart_kimg": 60.0, "conditional": 1.0, "features": 10.0, "entropy": 1.0},
        latent_dim=100,
        conditional=True,
        augment=(),
        kimg=140.0,
    )


def biggan_lite() -> TrainConfig:
    """Brock et al. 2019 made small: hinge loss, spectral norm, self-attention, classes through batch norm."""
    return TrainConfig(
        preset="biggan-lite",
        family="biggan",
        generator={"width": 16, "embedding": 64, "attention": 14},
        discriminator={"width": 16, "attention": 14},
        loss="hinge",
        orthogonal=1e-4,
        conditional=True,
        latent_dim=96,
        augment=(),
        learning_rate_g=2e-4,
        learning_rate_d=4e-4,
        beta1=0.0,
        beta2=0.999,
        batch=32,
        kimg=80.0,
    )
