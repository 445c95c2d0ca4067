"""The DCGANs, with all of their numbers."""

from trainer.settings.config import TrainConfig


def dcgan() -> TrainConfig:
    """Radford et al. 2016, but half as wide as figure 1 (which is usual), in batches of 64, its weights averaged."""
    return TrainConfig(preset="dcgan", generator={"width": 64}, discriminator={"width": 64}, augment=())


def dcgan_cpu() -> TrainConfig:
    """A DCGAN that two cores train in minutes at 32x32: resize-convolutions, R1, translation, small batches."""
    return TrainConfig(
        preset="dcgan-cpu",
        generator={"width": 32, "upsample": "nearest"},
        discriminator={"width": 64, "norm": "none", "minibatch_std": True},
        r1_gamma=0.2,
        penalty_every=8,
        augment=("translation",),
        learning_rate_g=4e-4,
        learning_rate_d=4e-4,
        beta1=0.0,
        beta2=0.99,
        ema_kimg=20.0,
        batch=32,
        kimg=90.0,
        channels_last=False,
    )
