"""What is trained: a preset at its own length, on some data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Classic:
    """One run: a preset at its own length, on some data."""

    preset: str
    data: str = "mnist"
    settings: tuple[str, ...] = ()
    optimiser: str | None = None
    conditional: bool | None = None
    says: str = ""  # in the gallery, beside what the preset says of itself
    whole: bool = False  # show its losses in the gallery, too, and how its samples became what they are


RUNS: dict[str, Classic] = {
    "mlp-gan": Classic("mlp-gan"),
    "mlp-gan-rmsprop": Classic("mlp-gan", optimiser="rmsprop", says="With RMSprop."),
    "mlp-gan-sgd": Classic(
        "mlp-gan",
        optimiser="sgd",
        settings=("learning_rate_g=0.02", "learning_rate_d=0.02"),
        says="With SGD, at a hundred times the rate.",
    ),
    "upconv-gan": Classic("upconv-gan"),
    "dcgan-keras": Classic("dcgan-keras", whole=True),
    "dcgan-28": Classic("dcgan-28"),
    "lsgan": Classic("lsgan"),
    "wgan": Classic("wgan"),
    "wgan-gp": Classic("wgan-gp"),
    "cgan": Classic("cgan"),
    "acgan": Classic("acgan"),
    "infogan": Classic("infogan"),
    "stackedgan": Classic("stackedgan"),
    "biggan-lite": Classic("biggan-lite"),
    "cgan-fashion": Classic("cgan", "fashion"),
    "biggan-lite-fashion": Classic("biggan-lite", "fashion"),
    "dcgan-cpu-emoji": Classic("dcgan-cpu", "emoji", conditional=True, says="It learned from OpenMoji (CC BY-SA 4.0)."),
}
