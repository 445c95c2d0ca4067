"""A translator's evaluation, whatever its sources are: by pairs where answers are known, else by both domains."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from core.errors import ConfigError
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics import beaten, domains
from trainer.metrics.domains import DomainEvaluation, evaluate_domains
from trainer.metrics.evaluate import LEAST
from trainer.metrics.evaluate import Step as Bar
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import Make
from trainer.metrics.held import has_pairs, pairs_of
from trainer.metrics.translation import MODEL, PairEvaluation, evaluate_pairs
from trainer.metrics.translation_sheet import draw, draw_journeys
from trainer.metrics.verdict import Step

GOOD = ("good", "some")  # grades of what may be used


@dataclass(frozen=True)
class Judged:
    """What is said of a translator: its figures, also as the heads and rows of a table, and a picture."""

    evaluation: PairEvaluation | DomainEvaluation
    table: tuple[list[str], list[list[str]]]
    picture: Image.Image

    @property
    def good(self) -> bool:
        """Whether it may be used."""
        return self.evaluation.verdict.grade in GOOD

    def then(self, steps: tuple[Step, ...]) -> "Judged":
        """The same with what to do next."""
        verdict = replace(self.evaluation.verdict, steps=steps)
        return replace(self, evaluation=replace(self.evaluation, verdict=verdict))


def judge(
    ways: Sequence[tuple[Make, GeneratorSpec]], pack: Pack, extractor: Extractor, samples: int, bar: Bar
) -> Judged:
    """Judge the first of ``ways`` by at most ``samples`` held-out pairs of the pack, or, without any, there and back.

    Raises ConfigError for too few samples, DataError for a pack that holds too little out, or pictures of other sizes.
    """
    if samples < LEAST:
        raise ConfigError(f"--samples {samples}: at least {LEAST} samples")
    make, spec = ways[0]
    if has_pairs(pack, spec):
        known, held = pairs_of(pack, spec, "train"), pairs_of(pack, spec, "held", samples)
        pairs, made = evaluate_pairs(make, spec, pack, known, held, extractor, bar)
        pairs = replace(pairs, verdict=beaten.verdict_of(pairs))
        return Judged(pairs, beaten.table(pairs), draw(made, pairs.figures[MODEL].l1))
    both, journeys = evaluate_domains(ways, pack, extractor, samples, bar)
    both = replace(both, verdict=domains.verdict_of(both))
    return Judged(both, domains.table(both), draw_journeys(journeys))
