"""``evaluate``: how good a generator is."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from commands.console import print_table, say, say_all
from commands.options import Threads
from commands.progress import bars


def evaluate(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|BUNDLE", help="What to judge: a run, its generator.safetensors, or a bundle.")
    ],
    data: Annotated[
        Path, typer.Argument(metavar="PACK", help="The pack it was trained on, or one to compare it with.")
    ],
    samples: Annotated[
        int,
        typer.Option(
            help="How many images to make and judge; of a translator, the most. Compare figures of equal numbers only."
        ),
    ] = 2000,
    seed: Annotated[int, typer.Option(help="The first seed: the images are those of this one and the following.")] = 0,
    device: Annotated[
        str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:1, mps … A bundle runs on the CPU.")
    ] = "auto",
    threads: Threads = None,
    judge: Annotated[
        str,
        typer.Option(
            metavar="lite0|lite2",
            help="Which network looks at the pictures: EfficientNet-Lite0 or, as a second opinion, Lite2.",
        ),
    ] = "lite0",
    inception: Annotated[
        Path | None,
        typer.Option(
            metavar="WEIGHTS.PTH",
            help="Also take FID and KID as papers do, by the network in pt_inception-2015-12-05-6726825d.pth. "
            "It is about three times slower than without.",
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="The JSON file for the figures: beside what is judged unless given.")
    ] = None,
) -> None:
    """Judge how good a generator is, by the images of a pack.

    The figures are KID, Fréchet distance, precision and recall, and how many images look copied. A translator is judged
    by pairs that were held out, beside what any result must beat, or, without pairs, by KID and by the way back.
    """
    from trainer.metrics.report import EvaluationRequest, report_on
    from trainer.planning import use_threads

    use_threads(threads)
    program = Path(sys.argv[0]).name
    request = EvaluationRequest(source, data, samples, seed, device, judge, inception, json, program)
    with bars() as begin:
        report = report_on(request, begin, say)

    for heads, rows in report.tables:
        print_table(heads, rows)
    say_all(report.lines)
    say(f"figures: {report.figures}")
    say(f"{report.shows}: {report.picture}")
