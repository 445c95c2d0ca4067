"""A generator's images against a pack's: every figure, the ground it stands on, and how it was measured."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor

from core.bundle import MANIFEST
from core.errors import ConfigError, DataError
from core.files import write_atomic
from core.latents import LAST_SEED
from core.ours import may_write, signed_png, software
from core.places import why_not
from core.run import EVALUATION
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import (
    MOST_REALS,
    ImageFunction,
    Progress,
    chosen_reals,
    fake_features,
    inputs_like,
    real_features,
    take,
)
from trainer.metrics.frechet import frechet_distance
from trainer.metrics.kid import kid, kid_over_subsets
from trainer.metrics.memorisation import Memorisation, draw, find_copies
from trainer.metrics.precision_recall import distinct, precision_recall
from trainer.metrics.scale import SPOILED, Scale, scale_of
from trainer.metrics.timing import announcement
from trainer.metrics.verdict import Verdict

LEAST = 16  # images of a set: below, no figure means anything
SUBSETS = 50
LARGEST_SUBSET = 1000
NEIGHBOUR = 3

Step = Callable[[str], Progress]  # told what begins, gives a bar for it


class Written(Protocol):
    """What an evaluation found, as it is written."""

    def to_json(self) -> str:
        """All of it, as JSON that says who made it."""


@dataclass(frozen=True)
class Figures:
    """One set of images against another. ``kid`` is over all at once, mean and deviation over random subsets."""

    kid: float
    kid_mean: float
    kid_std: float
    frechet: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Evaluation:
    """A generator's figures, those of the two halves of the real images for ground, and what both rest on.

    ``scale`` is the KID of spoiled real images; ``verdict`` what all of it means (trainer/metrics/verdict.py).
    """

    figures: Figures
    ground: Figures
    extractor: Extractor
    facts: dict[str, Any]
    copies: Memorisation
    scale: Scale
    verdict: Verdict | None = None

    def to_json(self) -> str:
        """Everything but the picture. The two figures that people quote come first, by their proper names."""
        copies, extractor = self.copies, self.extractor

        return json.dumps(
            {
                extractor.kid: self.figures.kid,
                extractor.frechet: self.figures.frechet,
                extractor.name: asdict(self.figures),
                f"{extractor.name}_of_two_halves_of_the_real_images": asdict(self.ground),
                f"{extractor.kid}_of_real_images_at_half_and_quarter_size_and_of_noise": asdict(self.scale),
                "verdict": asdict(self.verdict) if self.verdict else None,
                "memorisation": {
                    "share_of_samples_nearer_to_a_real_image_than_its_1_percent": copies.suspicious,
                    "nearest_samples": copies.samples.tolist(),
                    "their_distances": copies.distances[:, 0].tolist(),
                    "percentiles_of_distances_between_nearest_real_images": copies.between,
                },
                **self.facts,
                "software": software(),
            },
            indent=2,
            ensure_ascii=False,
        )


def evaluate(
    make: ImageFunction,
    spec: GeneratorSpec,
    pack: Pack,
    extractor: Extractor,
    samples: int,
    seed: int,
    step: Step,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Evaluation, Image.Image]:
    """Judge ``samples`` images of seeds ``seed`` … by ``pack``; also the picture of those nearest to a real image.

    ``tell`` hears first how long it will take.
    Raises ConfigError for too few samples, DataError for a pack that is too small or of another size.
    """
    if not LEAST <= samples <= LAST_SEED - seed:
        raise ConfigError(f"--samples {samples} --seed {seed}: at least {LEAST} samples, and seeds up to {LAST_SEED}")
    _check_enough(pack, len(pack))

    # Features of real, spoiled and generated images
    inputs = inputs_like(pack, spec, range(seed, seed + samples))
    tell(announcement(make, inputs, pack, extractor, _pairs(samples, min(len(pack), MOST_REALS))))
    reals = real_features(pack, extractor, step("looking at real images"))
    scale = scale_of(pack, extractor, reals, step("looking at spoiled ones"))
    fakes = fake_features(make, inputs, extractor, step("making images"))

    # The figures, and those of two halves of the real images for ground
    step("comparing")
    own = reals[distinct(reals)]  # a picture in both halves would bring them nearer than any generator can come
    _check_enough(pack, len(own))
    half = len(own) // 2
    copies = find_copies(fakes, reals)
    evaluation = Evaluation(
        figures=compare(fakes, reals),
        ground=compare(own[:half], own[half:]),
        extractor=extractor,
        facts=_facts(spec, pack, extractor, samples, seed, (len(reals), len(own))),
        copies=copies,
        scale=scale,
    )

    # The samples nearest to a real image, each beside that
    chosen = chosen_reals(pack)
    shown = make(take(inputs, copies.samples.tolist()))
    return evaluation, draw(copies, shown, [pack.gather(chosen[rows]) for rows in copies.reals])


def results_path(source: Path, asked: Path | None = None) -> Path:
    """Where the figures of ``source`` go: into a run, but beside a bundle, whose files are sealed.

    Raises ConfigError for a place inside a bundle, or one at which there is what we did not write.
    """
    # Beside a bundle or a file, else into the run
    bundle = (source / MANIFEST).is_file()
    path = asked or source / EVALUATION
    if not asked and (bundle or not source.is_dir()):
        named = source.resolve() if source.name in ("", "..") else source
        path = named.with_name(f"{named.name if bundle else named.stem}.evaluation.json")

    # Where nothing is sealed, and nothing is in the way that is not ours
    if bundle and path.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"--json {asked} is inside the bundle, which is sealed: write beside it")
    for place in (path, path.with_suffix(".png")):
        if problem := why_not(place, whole=False):
            raise ConfigError(problem)
        if not may_write(place):
            raise ConfigError(f"{place} is there, and Ganfoundry did not make it: move it, or give another --json")
    return path


def save_results(evaluation: Written, picture: Image.Image, path: Path) -> None:
    """The figures as JSON at ``path``, the picture beside it as PNG."""
    write_atomic(path.with_suffix(".png"), signed_png(picture))
    write_atomic(path, evaluation.to_json() + "\n")


def compare(fakes: Tensor, reals: Tensor) -> Figures:
    """Every figure of features ``(m, d)`` against ``(n, d)``; precision and recall on equally many of both.

    KID and the Fréchet distance compare distributions, where a picture that is there twice counts twice; precision
    and recall compare sets, where it is one.
    """
    fewer = min(len(fakes), len(reals))
    mean, deviation = kid_over_subsets(fakes, reals, _subset_size(fewer), SUBSETS)
    own = reals[distinct(reals)]
    even = min(len(fakes), len(own))
    precision, recall = precision_recall(fakes[:even], own[:even], NEIGHBOUR)
    return Figures(kid(fakes, reals), mean, deviation, frechet_distance(fakes, reals), precision, recall)


def _pairs(samples: int, reals: int) -> float:
    """How many pairs of features are compared in all: those of the generator, and of the halves of the real images."""
    sets = ((samples, reals), (reals // 2, reals // 2))
    return float(sum(SUBSETS * 3 * _subset_size(min(pair)) ** 2 + 4 * sum(pair) ** 2 for pair in sets))


def _check_enough(pack: Pack, count: int) -> None:
    if count < 2 * LEAST:
        found = f"{len(pack)} images" if count == len(pack) else f"{count} distinct images"
        raise DataError(f"the pack {pack.info.name} has {found}: judging by it needs at least {2 * LEAST}")


def _subset_size(fewer: int) -> int:
    """At most half of the smaller set: subsets that are nearly the whole set would all be alike."""
    return min(LARGEST_SUBSET, fewer // 2)


def _facts(
    spec: GeneratorSpec, pack: Pack, extractor: Extractor, samples: int, seed: int, counts: tuple[int, int]
) -> dict[str, Any]:
    """``counts`` are how many real images were looked at, and how many of these are distinct."""
    origin = spec.provenance
    reals, own = counts

    return {
        "protocol": {
            **extractor.protocol,
            "samples": samples,
            "seeds": [seed, seed + samples - 1],
            "labels": "as frequent as in the data" if spec.classes else None,
            "real_images": reals,
            "distinct_real_images": own,
            "kid": "unbiased MMD², kernel (x·y/d + 1)³, over all images at once",
            "scale": f"KID of {min(SPOILED, reals // 2)} real images, spoiled, against the others",
            "kid_mean_and_std": f"over {SUBSETS} subsets of {_subset_size(min(samples, reals))}",
            "precision_and_recall": f"k = {NEIGHBOUR}, on {min(samples, own)} of each, the real ones distinct",
        },
        "generator": {"preset": origin.preset, "images_seen": origin.images_seen, "trained_on": origin.data_name},
        "data": {
            "name": pack.info.name,
            "fingerprint": pack.info.fingerprint,
            "trained_on_these": pack.info.fingerprint == origin.data_fingerprint,
        },
    }
