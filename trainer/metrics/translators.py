"""A translator's evaluation, whatever its sources are: by pairs where answers are known, else by both domains."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from core.errors import ConfigError, DataError
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics import beaten, domains
from trainer.metrics.domains import DomainEvaluation, evaluate_domains
from trainer.metrics.evaluate import LEAST
from trainer.metrics.evaluate import Step as Bar
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import ImageFunction
from trainer.metrics.held import has_pairs, pairs_of
from trainer.metrics.translation import MODEL, PairEvaluation, evaluate_pairs
from trainer.metrics.translation_sheet import draw, draw_journeys
from trainer.metrics.verdict import Step

GOOD = ("good", "some")  # grades of what may be used
BOTH_WAYS = "there_and_back"  # in the file of figures, beside those of pairs

Evaluation = PairEvaluation | DomainEvaluation
Table = tuple[list[str], list[list[str]]]
Way = tuple[ImageFunction, GeneratorSpec]


@dataclass(frozen=True)
class TranslatorEvaluation:
    """What is said of a translator: its figures, also as the heads and rows of tables, and a picture."""

    evaluation: Evaluation
    tables: tuple[Table, ...]
    picture: Image.Image

    @property
    def good(self) -> bool:
        """Whether it may be used."""
        return self.evaluation.verdict.grade in GOOD

    def then(self, steps: tuple[Step, ...]) -> "TranslatorEvaluation":
        """The same with what to do next."""
        verdict = replace(self.evaluation.verdict, steps=steps)
        return replace(self, evaluation=replace(self.evaluation, verdict=verdict))


def judge(ways: Sequence[Way], pack: Pack, extractor: Extractor, samples: int, bar: Bar) -> TranslatorEvaluation:
    """Judge the first of ``ways`` by at most ``samples`` held-out pairs of the pack, and all of them there and back
    where there are no pairs, or several ways.

    Raises ConfigError for too few samples, DataError for a pack that holds too little out, or pictures of other sizes.
    """
    if samples < LEAST:
        raise ConfigError(f"--samples {samples}: at least {LEAST} samples")

    # By pairs, and there and back where somebody learned that, too
    make, spec = ways[0]
    if has_pairs(pack, spec):
        known, held = pairs_of(pack, spec, "train"), pairs_of(pack, spec, "held", samples)
        pairs, made = evaluate_pairs(make, spec, pack, known, held, extractor, bar)
        pairs = replace(pairs, verdict=beaten.verdict_of(pairs))
        judged = TranslatorEvaluation(pairs, (beaten.table(pairs),), draw(made, pairs.figures[MODEL].l1))
        return _both_ways(judged, ways, pack, extractor, samples, bar) if len(ways) > 1 else judged

    # Without pairs, by the other domain
    both, journeys = evaluate_domains(ways, pack, extractor, samples, bar)
    both = replace(both, verdict=domains.verdict_of(both))
    return TranslatorEvaluation(both, (domains.table(both),), draw_journeys(journeys))


def _both_ways(
    judged: TranslatorEvaluation, ways: Sequence[Way], pack: Pack, extractor: Extractor, samples: int, bar: Bar
) -> TranslatorEvaluation:
    """What was ``judged`` by pairs, and what is said of all ``ways``; of too few pictures, that these are too few."""
    pairs = judged.evaluation
    try:
        both, _ = evaluate_domains(ways, pack, extractor, samples, bar)
    except DataError as error:
        return replace(judged, evaluation=_remarked(pairs, (str(error),)))
    facts = {**pairs.facts, BOTH_WAYS: {"figures": both.named(), "protocol": both.facts["protocol"]}}
    evaluation = _remarked(replace(pairs, facts=facts), domains.verdict_of(both).remarks)
    return replace(judged, evaluation=evaluation, tables=(*judged.tables, domains.table(both)))


def _remarked(evaluation: Evaluation, remarks: tuple[str, ...]) -> Evaluation:
    """The same with more remarks, each once."""
    verdict = evaluation.verdict
    said = tuple(dict.fromkeys((*verdict.remarks, *remarks)))
    return replace(evaluation, verdict=replace(verdict, remarks=said))
