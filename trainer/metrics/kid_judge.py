"""KID-lite0 against a pack as one function, by which an export decides whether coarser numbers are good enough."""

from collections.abc import Callable
from pathlib import Path

from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics.extractor import lite0
from trainer.metrics.features import ImageFunction, fake_features
from trainer.metrics.held import judged_by
from trainer.metrics.kid import kid

IMAGES = 256  # are judged


def kid_judge(data: Path) -> Callable[[GeneratorSpec, ImageFunction], float]:
    """A function of a spec and what makes its images: their KID against the pack in the folder ``data``.

    Raises DataError for what is no pack; the function does where pack and generator do not fit.
    """
    pack, extractor = Pack.open(data), lite0()

    def judge(spec: GeneratorSpec, make: ImageFunction) -> float:
        inputs, reals = judged_by(pack, spec, IMAGES, extractor)
        return round(kid(fake_features(make, inputs, extractor), reals), 6)

    return judge
