"""The recipes that make images of images, with all of their numbers."""

from trainer.settings.config import TrainConfig


def pix2pix() -> TrainConfig:
    """Isola et al. 2017, section 3 and appendix: a U-Net of width 64 with dropout, 70-pixel patches, batches of 1.

    200 epochs of facades' 400 images, the second half of them with falling rates. Instance norm is what the paper's
    batch norm is in batches of 1 (section 3.4), also when it ships. Mirrored as in the paper; moved in place of its
    crops of a picture that was enlarged. An average of the weights is kept, which the paper's is not.
    """
    return TrainConfig(
        preset="pix2pix",
        family="unet",
        system="paired",
        generator={"width": 64, "norm": "instance", "up": "transposed", "stem": False, "dropout": 0.5},
        discriminator={"width": 64, "field": 70, "norm": "instance", "given": True},
        pairing={"l1": 100.0, "adversarial": 1.0},
        augment=("translation", "flip"),
        final={"learning_rate_g": 1e-9, "learning_rate_d": 1e-9},
        schedule="linear",
        schedule_from=40.0,
        schedule_kimg=80.0,
        batch=1,
        kimg=80.0,
    )


def cyclegan() -> TrainConfig:
    """Zhu et al. 2017, section 4 and appendix: residual translators of nine blocks, least squares, a pool of 50.

    200 epochs of some thousand images, the second half of them with falling rates. Transposed convolutions, as in the
    paper; ``--set generator.up=resize`` makes no checkerboards.
    """
    return TrainConfig(
        preset="cyclegan",
        family="resnet",
        system="cycle",
        generator={"width": 64, "blocks": 9, "up": "transposed"},
        discriminator={"width": 64, "field": 70, "norm": "instance"},
        cycle={"cycle": 10.0, "identity": 0.5, "adversarial": 2.0, "pool": 50},
        loss="least-squares",
        augment=("translation", "flip"),
        final={"learning_rate_g": 1e-9, "learning_rate_d": 1e-9},
        schedule="linear",
        schedule_from=100.0,
        schedule_kimg=200.0,
        batch=1,
        kimg=200.0,
    )


def pix2pix_cpu() -> TrainConfig:
    """A small pix2pix that two cores train at 64x64: resize-convolutions, no dropout, patches of 26 pixels.

    The discriminator sees results alone, not beside their sources: it would learn a few thousand pairs by heart. A
    gradient penalty holds it flat, and rates fall to the end (measured: benchmarks/RESULTS.md, "Images to images").
    """
    return TrainConfig(
        preset="pix2pix-cpu",
        family="unet",
        system="paired",
        generator={"width": 16},
        discriminator={"width": 32, "field": 26, "given": False},
        pairing={"l1": 100.0, "adversarial": 1.0},
        r1_gamma=1.0,
        augment=("translation", "flip"),
        learning_rate_g=1e-3,
        learning_rate_d=4e-4,
        ema_kimg=4.0,
        final={"learning_rate_g": 1e-5, "learning_rate_d": 1e-5},
        schedule_kimg=100.0,
        batch=16,
        kimg=100.0,
    )


def cyclegan_cpu() -> TrainConfig:
    """A small CycleGAN that two cores train at 64x64: two U-Nets, patches of 26 pixels, batches of 4."""
    return TrainConfig(
        preset="cyclegan-cpu",
        family="unet",
        system="cycle",
        generator={"width": 16, "norm": "instance"},
        discriminator={"width": 32, "field": 26, "norm": "instance"},
        cycle={"cycle": 10.0, "identity": 0.5, "adversarial": 2.0, "pool": 50},
        loss="least-squares",
        augment=("translation", "flip"),
        ema_kimg=4.0,
        batch=4,
        kimg=60.0,
    )


def denoise_cpu() -> TrainConfig:
    """An autoencoder that takes noise of 50 levels away (Vincent et al. 2008, with today's layers)."""
    return _autoencoder("denoise-cpu", "noise", 50.0, width=16, residual=True)


def colourise_cpu() -> TrainConfig:
    """Colours for line art, where the pack has pairs of it, else for grey images: an autoencoder, told the answer."""
    return _autoencoder("colourise-cpu", "colourless", 1.0, width=28, residual=False)


def upscale_cpu() -> TrainConfig:
    """Twice as large: an autoencoder that makes images of their own halves."""
    return _autoencoder("upscale-cpu", "smaller", 2.0, width=16, residual=True)


def _autoencoder(preset: str, kind: str, strength: float, width: int, residual: bool) -> TrainConfig:
    return TrainConfig(
        preset=preset,
        family="unet",
        system="autoencoder",
        generator={"width": width, "residual": True} if residual else {"width": width},
        pairing={"l1": 100.0, "adversarial": 0.0},
        corruption={"kind": kind, "strength": strength},
        augment=("translation", "flip"),
        learning_rate_g=1e-3,
        beta1=0.9,
        ema_kimg=4.0,
        final={"learning_rate_g": 1e-5},
        schedule_kimg=100.0,
        batch=16,
        kimg=100.0,
    )
