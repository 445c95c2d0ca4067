"""Translators between two domains without pairs: are results of the other one, and does the way back lead home?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import DataError
from core.images import Images
from core.ours import software
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics.baselines import identity
from trainer.metrics.evaluate import LEAST, Step
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import ImageFunction, Progress, features_of
from trainer.metrics.held import domains_of, shape_made, shape_taken
from trainer.metrics.kid import kid
from trainer.metrics.pairs import l1, mean_of
from trainer.metrics.translation import data_facts, translated, unknown
from trainer.metrics.verdict import UNJUDGED, Verdict

GOOD, SOME = 0.75, 0.25  # of the way from the sources as they are to real pictures
WORDS = {
    "good": "good: the results are nearly of the other kind",
    "some": "usable: the results are on their way to the other kind, and one sees where they come from",
    "nothing": "nothing to use yet: the results are hardly nearer to the other kind than the sources as they are",
}


@dataclass(frozen=True)
class DirectionFigures:
    """One direction. ``kid`` is of results against real pictures of the domain; ``source_kid`` of the sources as they
    are, and ``ground`` of one half of the real ones against the other. ``cycle`` is L1 of the way there and back, and
    ``identity`` of what is there already, in levels of 255; None where that cannot be.
    """

    kid: float
    source_kid: float
    ground: float
    cycle: float | None
    identity: float | None


@dataclass(frozen=True)
class DomainEvaluation:
    """The figures by direction, and what they rest on."""

    figures: Mapping[str, DirectionFigures]
    extractor: Extractor
    facts: dict[str, Any]
    verdict: Verdict = UNJUDGED

    def named(self) -> dict[str, dict[str, float | None]]:
        """Every figure by direction, under its name in the file."""
        names = {"kid": "", "source_kid": "_of_the_sources_as_they_are", "ground": "_of_two_halves_of_the_real_images"}
        return {
            direction: {
                f"{self.extractor.kid}{names[name]}" if name in names else f"{name}_l1": value
                for name, value in asdict(each).items()
            }
            for direction, each in self.figures.items()
        }

    def to_json(self) -> str:
        """Everything but the picture."""
        whole = {"figures": self.named(), "verdict": asdict(self.verdict), **self.facts, "software": software()}
        return json.dumps(whole, indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class Journey:
    """Held-out ``sources``, the ``results``, and what the other translator made of these; None without one."""

    sources: Images
    results: Images
    back: Images | None


Way = tuple[ImageFunction, GeneratorSpec]


def evaluate_domains(
    ways: Sequence[Way], pack: Pack, extractor: Extractor, samples: int, step: Step
) -> tuple[DomainEvaluation, dict[str, Journey]]:
    """Judge translators by at most ``samples`` held-out pictures of either domain: one, or there and back.

    Raises DataError for a pack that holds too few out.
    """
    figures, journeys, counts = {}, {}, {}

    for index, (make, spec) in enumerate(ways):
        assert spec.source is not None
        way = spec.source.direction
        other = ways[1 - index][0] if len(ways) > 1 else None

        # Held-out pictures to translate, and others that are of the domain already
        takes, makes = domains_of(pack, spec)
        sources, already = (domain.gather(domain.rows("held", samples)) for domain in (takes, makes))
        if min(len(sources), len(already)) < LEAST:
            raise DataError(
                f"the pack {pack.info.name} holds {min(len(sources), len(already))} {takes.name} or {makes.name} out: "
                f"judging by them needs at least {LEAST}: import it again with --held"
            )

        # Against real pictures, beside what the sources as they are and half of the real ones come to
        journey = journeys[way] = _travelled(make, other, sources, step(f"translating {way}"))
        reals = makes.features("train", extractor, step(f"looking at real {makes.name}"))
        figures[way] = DirectionFigures(
            kid(features_of(journey.results, extractor, step("looking at results")), reals),
            kid(features_of(identity(sources, shape_made(spec)), extractor, step("looking at sources")), reals),
            kid(reals[: len(reals) // 2], reals[len(reals) // 2 :]),
            None if journey.back is None else mean_of(l1(journey.back, sources)),
            mean_of(l1(translated(make, already), already)) if shape_taken(spec) == shape_made(spec) else None,
        )
        counts[way] = {"held": len(sources), "known": len(reals)}
    return DomainEvaluation(figures, extractor, _facts(ways[0][1], pack, extractor, counts)), journeys


def _travelled(make: ImageFunction, other: ImageFunction | None, sources: Images, progress: Progress) -> Journey:
    results = translated(make, sources, progress)
    return Journey(sources, results, None if other is None else translated(other, results))


def grade(figures: DirectionFigures) -> str:
    """How one direction does: a key of ``WORDS``."""
    share = gone(figures)
    return "good" if share >= GOOD else "some" if share >= SOME else "nothing"


def gone(figures: DirectionFigures) -> float:
    """How much of the way from the sources as they are to real pictures the results have gone, by KID."""
    return (figures.source_kid - figures.kid) / max(figures.source_kid - figures.ground, 1e-9)


def verdict_of(evaluation: DomainEvaluation) -> Verdict:
    """What the figures mean: the words are of the direction that does worst."""
    figures = evaluation.figures
    worst = min(figures.values(), key=gone)
    said = [f"{way}: results have gone {max(gone(each), 0):.0%} of the way" for way, each in figures.items()]
    return Verdict(grade(worst), WORDS[grade(worst)], (*said, *unknown(evaluation.facts)))


def table(evaluation: DomainEvaluation) -> tuple[list[str], list[list[str]]]:
    """The heads and the rows of a table: a figure in each row, a direction in each column."""
    figures, name = [*evaluation.figures.values()], evaluation.extractor.kid
    rows = [
        [name, *(f"{each.kid:.4f}" for each in figures)],
        ["  the sources as they are", *(f"{each.source_kid:.4f}" for each in figures)],
        ["  two halves of the real ones", *(f"{each.ground:.4f}" for each in figures)],
        ["L1 there and back", *(_number(each.cycle) for each in figures)],
        ["L1 of what is there already", *(_number(each.identity) for each in figures)],
    ]
    return ["", *evaluation.figures], [row for row in rows if set(row[1:]) != {"–"}]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _facts(spec: GeneratorSpec, pack: Pack, extractor: Extractor, counts: dict[str, dict[str, int]]) -> dict[str, Any]:
    return {
        "protocol": {
            **extractor.protocol,
            "pictures": counts,
            "known": min(each["known"] for each in counts.values()),
            "kid": "unbiased MMD², kernel (x·y/d + 1)³, of what is made of held-out pictures against those to train on",
            "cycle_l1": "mean |x - y| of premultiplied values, alpha among them, in levels of 255",
            "identity_l1": "the same, of what is made of held-out pictures of the domain that is made",
        },
        **data_facts(spec, pack),
    }
