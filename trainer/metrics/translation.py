"""A translator's results on held-out pairs, beside those of the baselines that any result must beat."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from torch import Tensor

from core.contract import SOURCE
from core.errors import DataError
from core.images import Images
from core.ours import software
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics.baselines import (
    FLOOD,
    IDENTITY,
    MEAN,
    MEANINGS,
    NEAREST,
    fill_colour,
    flood_fill,
    identity,
    mean_image,
    nearest_targets,
    resized,
)
from trainer.metrics.evaluate import LEAST, Step
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import ImageFunction, Progress, features_of, in_batches
from trainer.metrics.held import Pairs
from trainer.metrics.kid import kid
from trainer.metrics.lines import LINE, Pen
from trainer.metrics.pairs import (
    ALPHA,
    SIGMA,
    WINDOW,
    Mask,
    Values,
    alpha_iou,
    distance,
    l1,
    l1_within,
    mean_of,
    psnr,
    ssim,
)
from trainer.metrics.verdict import UNJUDGED, Verdict

MODEL = "model"
LOOKED_AT = 256  # pairs, to see whether sources are line art
COLOURED = 1000  # pairs whose closed regions have the mean colour of all


@dataclass(frozen=True)
class PairFigures:
    """One set of results against their targets, each figure by image (trainer/metrics/pairs.py), but for KID.

    ``filled`` is L1 where the target is opaque and, of line art, no line of the source lies; ``features`` how far the
    extractor's are from those of the target. KID is None of too few.
    """

    l1: Values
    filled: Values
    iou: Values
    psnr: Values
    ssim: Values
    features: Values
    kid: float | None

    def means(self) -> dict[str, float | None]:
        """Every figure over all images, those that lead first; None where there is nothing to measure."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: mean_of(value) if isinstance(value, np.ndarray) else value for name, value in found.items()}


@dataclass(frozen=True)
class Translations:
    """Held-out ``sources``, their ``targets``, and what was made of them, by the model and by each baseline."""

    sources: Images
    targets: Images
    results: Mapping[str, Images]


@dataclass(frozen=True)
class PairEvaluation:
    """The figures of the model and of each baseline, by name, the KID of the targets, and what all rests on."""

    figures: Mapping[str, PairFigures]
    targets_kid: float | None
    extractor: Extractor
    facts: dict[str, Any]
    verdict: Verdict = UNJUDGED

    def to_json(self) -> str:
        """All of it, the model's figures first."""
        # Under the names of the network that they are taken by
        means = {name: figures.means() for name, figures in self.figures.items()}
        names = {"features": f"{self.extractor.name}_distance", "kid": self.extractor.kid}
        named = {
            name: {names.get(figure, figure): value for figure, value in each.items()} for name, each in means.items()
        }

        return json.dumps(
            {
                "figures": named.pop(MODEL),
                "baselines": named,
                f"{self.extractor.kid}_of_the_targets_themselves": self.targets_kid,
                "verdict": asdict(self.verdict),
                **self.facts,
                "software": software(),
            },
            indent=2,
            ensure_ascii=False,
        )


def evaluate_pairs(
    make: ImageFunction, spec: GeneratorSpec, pack: Pack, known: Pairs, held: Pairs, extractor: Extractor, step: Step
) -> tuple[PairEvaluation, Translations]:
    """Judge what ``make`` makes of the sources of ``held`` pairs; baselines are made of ``known`` ones.

    Raises DataError where one of the two is empty.
    """
    if not len(held) or not len(known):
        raise DataError(f"the pack {pack.info.name} holds no pairs out to judge by: import it again with --held 10%")
    sources, targets = held.all()
    pen = pen_of(known)
    results = {MODEL: translated(make, sources, step("translating"))}
    results |= baselines(sources, known, pen, step("making what it must beat"))

    # What an extractor sees in all of it
    reals = known.wanted.features("train", extractor, step("looking at known targets"))
    progress, seen = step("looking at results"), dict[str, Tensor]()
    for before, (name, images) in enumerate({"": targets, **results}.items()):
        seen[name] = features_of(
            images, extractor, _shifted(progress, before * len(held), (len(results) + 1) * len(held))
        )

    # Figures
    where, enough = filled_regions(sources, targets, pen), len(held) >= LEAST and len(known) >= LEAST
    figures = {
        name: PairFigures(
            l1(images, targets),
            l1_within(images, targets, where),
            alpha_iou(images, targets),
            psnr(images, targets),
            ssim(images, targets),
            distance(seen[name], seen[""]),
            kid(seen[name], reals) if enough else None,
        )
        for name, images in results.items()
    }
    facts = _facts(spec, pack, extractor, (len(held), len(known)), [*results], pen)
    evaluation = PairEvaluation(figures, kid(seen[""], reals) if enough else None, extractor, facts)
    return evaluation, Translations(sources, targets, results)


def translated(make: ImageFunction, sources: Images, progress: Progress = lambda *_: None) -> Images:
    """What ``make`` makes of ``sources``, a few at a time."""
    return np.concatenate(in_batches(len(sources), lambda rows: make({SOURCE: sources[rows]}), progress))


def baselines(
    sources: Images, known: Pairs, pen: Pen | None, progress: Progress = lambda *_: None
) -> dict[str, Images]:
    """What each baseline makes of ``sources``, by name; a flood fill of line art alone."""
    shape = known.shape
    ways: dict[str, Callable[[], Images]] = {
        IDENTITY: lambda: identity(sources, shape),
        MEAN: lambda: np.repeat(mean_image(known)[None], len(sources), axis=0),
        NEAREST: lambda: nearest_targets(sources, known),
    }
    if pen is not None:
        ways[FLOOD] = lambda: flood_fill(sources, shape, pen, fill_colour(pen, known.first(COLOURED)))

    found = {}
    for done, (name, way) in enumerate(ways.items(), 1):
        found[name] = way()
        progress(done, len(ways))
    return found


def pen_of(known: Pairs) -> Pen | None:
    """What the sources are drawn with, if they are line art."""
    sources, targets = known.first(LOOKED_AT).all()
    return Pen.of(resized(sources, *targets.shape[1:3]), targets)


def filled_regions(sources: Images, targets: Images, pen: Pen | None) -> Mask:
    """Where a target is opaque, and no line of its source lies if that is line art."""
    where: Mask = np.ones(targets.shape[:3], bool) if targets.shape[3] < 4 else targets[..., 3] == 255
    return where if pen is None else where & (pen.ink(resized(sources, *targets.shape[1:3])) < LINE)


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    """The progress of a part of some work, of which so much was done before."""
    return lambda done, _: progress(before + done, total)


def _facts(
    spec: GeneratorSpec, pack: Pack, extractor: Extractor, counts: tuple[int, int], made: list[str], pen: Pen | None
) -> dict[str, Any]:
    """``counts`` are how many pairs were judged, and how many of those to train on were known."""
    held, known = counts
    of_lines = "and, as the sources are line art, no line lies" if pen else "(the sources are no line art)"

    return {
        "protocol": {
            **extractor.protocol,
            "pairs": held,
            "known": known,
            "l1": "mean |x - y| of premultiplied values, alpha among them, in levels of 255",
            "filled": f"mean |x - y| of RGB over white, in levels of 255, where the target is opaque {of_lines}",
            "iou": f"of the pixels whose alpha is {ALPHA} and more",
            "psnr": "of RGB over white, the mean over images",
            "ssim": f"of RGB over white, Gaussian windows of {WINDOW} pixels and deviation {SIGMA} (Wang et al. 2004)",
            "distance": "of the features of a result from those of its target, Euclidean",
            "kid": "unbiased MMD², kernel (x·y/d + 1)³, against the targets to train on",
            "baselines": {name: MEANINGS[name] for name in made if name in MEANINGS},
        },
        **data_facts(spec, pack),
    }


def unknown(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What nobody knows of a translator that was trained on another pack than it is judged by."""
    if facts["data"]["trained_on_these"]:
        return ()
    return ("it was trained on another pack: whether it has seen these pictures there is not known",)


def data_facts(spec: GeneratorSpec, pack: Pack) -> dict[str, Any]:
    """What was judged, and by what."""
    origin = spec.provenance
    return {
        "generator": {"preset": origin.preset, "images_seen": origin.images_seen, "trained_on": origin.data_name},
        "direction": spec.source.direction if spec.source else None,
        "data": {
            "name": pack.info.name,
            "fingerprint": pack.info.fingerprint,
            "trained_on_these": pack.info.fingerprint == origin.data_fingerprint,
        },
    }
