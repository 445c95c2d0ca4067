"""``evaluate`` as a whole: a generator is opened, judged by a pack, and what was found is written and said."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.run import GENERATOR, back_of
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics import translators
from trainer.metrics.advice import with_steps, with_verdict
from trainer.metrics.evaluate import Evaluation, Step, evaluate, results_path, save_results
from trainer.metrics.extractor import Extractor, extractor_of
from trainer.metrics.features import ImageFunction
from trainer.metrics.inception import inception
from trainer.metrics.loading import open_generator
from trainer.metrics.translators import Table
from trainer.metrics.verdict import in_lines, words_of
from trainer.planning import pick_device
from trainer.presets.about import reached

Tell = Callable[[str], None]


@dataclass(frozen=True)
class EvaluationRequest:
    """What ``evaluate`` is asked for: to judge ``source``, a run, its generator or a bundle, by the pack ``data``.

    ``judge`` names the network that looks at the pictures, one of ``extractor.JUDGES``; ``inception`` is a file of
    weights that does so instead. ``figures`` is where the JSON goes, beside what is judged unless given. ``program``
    is how commands are typed that say what to do next.
    """

    source: Path
    data: Path
    samples: int
    seed: int
    device: str
    judge: str
    inception: Path | None
    figures: Path | None
    program: str


@dataclass(frozen=True)
class Report:
    """What was found: tables as heads and rows, and what they mean; the JSON of it, and a picture that ``shows``."""

    tables: tuple[Table, ...]
    lines: tuple[str, ...]
    figures: Path
    shows: str

    @property
    def picture(self) -> Path:
        """The picture beside the figures."""
        return self.figures.with_suffix(".png")


def report_on(request: EvaluationRequest, bars: Step, tell: Tell) -> Report:
    """Judge, write the figures and a picture, and say what was found.

    ``bars`` begins a bar for a step of the work; ``tell`` hears how long it will take. Raises DataError for packs that
    cannot judge, ConfigError for what is asked, BundleError and CheckpointError for what is no generator.
    """
    # What is judged, by what, and where it goes: all that may be wrong is looked at before the work
    pack, device = Pack.open(request.data), pick_device(request.device)
    generator = open_generator(request.source, device)
    figures = results_path(request.source, request.figures)
    extractor = inception(request.inception, device) if request.inception else extractor_of(request.judge, device)

    if generator[1].kind == "image":
        source = request.source
        back = back_of(source / GENERATOR if source.is_dir() else source)
        ways = [generator, *([open_generator(back, device)] if back.is_file() else [])]
        return _of_translator(request, ways, pack, extractor, figures, bars)
    return _of_seeds(request, generator, pack, extractor, figures, bars, tell)


def _of_seeds(
    request: EvaluationRequest,
    generator: tuple[ImageFunction, GeneratorSpec],
    pack: Pack,
    extractor: Extractor,
    figures: Path,
    bars: Step,
    tell: Tell,
) -> Report:
    evaluation, picture = evaluate(*generator, pack, extractor, request.samples, request.seed, bars, tell)
    evaluation = with_verdict(evaluation, request.source, request.data, request.program)
    save_results(evaluation, picture, figures)

    lines = tuple(_lines_of(evaluation, grey=pack.info.channels == 1))
    return Report((_table_of(evaluation),), lines, figures, "samples beside the nearest real images")


def _of_translator(
    request: EvaluationRequest,
    ways: list[tuple[ImageFunction, GeneratorSpec]],
    pack: Pack,
    extractor: Extractor,
    figures: Path,
    bars: Step,
) -> Report:
    judged = translators.judge(ways, pack, extractor, request.samples, bars)
    judged = with_steps(judged, request.source, request.data, request.program)
    save_results(judged.evaluation, judged.picture, figures)

    lines = tuple(words_of(judged.evaluation.verdict))
    return Report(judged.tables, lines, figures, "held-out pictures and what was made of them")


def _table_of(evaluation: Evaluation) -> Table:
    """The figures beside those of two halves of the real images, a row each."""
    ours, ground, extractor = evaluation.figures, evaluation.ground, evaluation.extractor
    return ["", "generated", "two halves of the real images"], [
        [extractor.kid, *(f"{each.kid:.4f}" for each in (ours, ground))],
        ["  over subsets", *(f"{each.kid_mean:.4f} ± {each.kid_std:.4f}" for each in (ours, ground))],
        [extractor.frechet, *(f"{each.frechet:.1f}" for each in (ours, ground))],
        ["precision", *(f"{each.precision:.3f}" for each in (ours, ground))],
        ["recall", *(f"{each.recall:.3f}" for each in (ours, ground))],
    ]


def _lines_of(evaluation: Evaluation, grey: bool) -> Iterator[str]:
    """What the figures mean, what they rest on, and what to do next."""
    extractor, verdict = evaluation.extractor, evaluation.verdict
    assert verdict
    if "warning" in extractor.protocol:
        yield f"warning: {extractor.protocol['warning']}"

    # How to read the table
    yield "No generator can be expected to do better than the right column: the Fréchet distance has a floor, which"
    yield "falls with more images, so compare it only between equal numbers of them. KID has none."
    yield (
        f"{evaluation.copies.suspicious:.1%} of the samples are nearer to a real image than 99 % of the distinct "
        "real images are to each other: far more than 1 % means copies"
    )

    # What it was compared with
    looked_at, distinct = (evaluation.facts["protocol"][name] for name in ("real_images", "distinct_real_images"))
    if distinct < looked_at:
        yield f"of the {looked_at:,} real images {distinct:,} are distinct: the others look exactly like one of these"
    if extractor.name == "lite0":
        yield f"presets came to {reached(grey)} ({extractor.kid}; docs/presets.md shows what that looks like)"

    yield from in_lines(verdict, evaluation.figures.kid, evaluation.ground.kid, evaluation.scale)
