"""``export``, and what looks at its bundles: ``verify`` and ``inspect``."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands.console import console, print_facts, print_table, say, say_all
from commands.foreign import ForeignOptions
from commands.options import Bundle, Overwrite, check_one_of, check_only_with, grouped

if TYPE_CHECKING:
    from core.bundle import Manifest
    from export.checks.verification import Verification


class Precision(StrEnum):
    """What a generator can be exported in. (Typer takes no list of literals.)"""

    fp32, fp16, int8 = "fp32", "fp16", "int8"


class Target(StrEnum):
    """Where a generator can be asked to run."""

    ort, triton, trt10, trt11, web = "ort", "triton", "trt10", "trt11", "web"
    unity, unity_legacy = "unity", "unity-legacy"


@grouped
def export(
    out: Annotated[Path, typer.Option(help="The folder of the bundle to make.")],
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="The folder of a run, or its generator.safetensors.")
    ] = None,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", show_default=False, help="Export to ONNX, which is the default and the only format."),
    ] = True,
    level: Annotated[
        str | None,
        typer.Option(help="Export a smaller size that a progressive run has finished on its way, such as 16x16."),
    ] = None,
    direction: Annotated[
        Literal["a2b", "b2a"] | None,
        typer.Option(
            help="Export the generator of this direction of a run that learned two: a2b, from sources to images, "
            "unless given; b2a goes back."
        ),
    ] = None,
    noise: Annotated[
        Literal["fixed", "input"],
        typer.Option(
            help="What a style generator does with its noise. fixed: the same always, so that a seed is one picture. "
            "input: the caller gives it."
        ),
    ] = "fixed",
    precision: Annotated[
        list[Precision] | None,
        typer.Option(
            help="Which numbers to store, besides fp32. fp16: half the size, within 4 levels of 255. int8: "
            "experimental, at best a quarter of the size, no faster on CPUs, and needs --data. May be repeated."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="PACK", help="The pack whose images judge whether int8 is good enough.")
    ] = None,
    tensorrt: Annotated[
        bool,
        typer.Option(
            "--tensorrt",
            help="Also write fp16, and the scripts that build and check a TensorRT engine on a machine with a GPU.",
        ),
    ] = False,
    target: Annotated[
        list[Target] | None,
        typer.Option(
            help="Fail unless the generator runs there, and write what that runtime needs besides. May be repeated."
        ),
    ] = None,
    *,
    foreign: ForeignOptions,
    overwrite: Overwrite = False,
) -> None:
    """Turn a trained generator into a verified ONNX bundle.

    With --from-onnx, take an ONNX generator from elsewhere instead.

    A precision that fails its gate is left out: the rest of the bundle is written, and the exit status is 1.
    """
    assert onnx
    check_one_of({"a run": run, "--from-onnx": foreign.from_onnx})
    foreign.check()
    check_only_with("a run", run, {"--level": level, "--direction": direction, "--noise": noise == "input"})
    if precision and "int8" in precision and data is None:
        raise typer.BadParameter("--precision int8 goes with --data PACK: it is judged by its KID")

    from export.bundles.options import ExportOptions

    measure_kid = None
    if data:
        from trainer.metrics.kid_judge import kid_judge

        measure_kid = kid_judge(data)
    options = ExportOptions(precision or (), measure_kid, target or (), tensorrt)

    if foreign.from_onnx:
        from export.foreign.exporting import export_foreign

        path, *synthesis = foreign.from_onnx
        make = partial(
            export_foreign,
            path,
            hints=foreign.hints(),
            synthesis=synthesis[0] if synthesis else None,
            licence=foreign.licence or "",
            attribution=foreign.attribution or "",
        )
    else:
        from export.bundles.exporting import export_run

        assert run
        make = partial(export_run, run, level=level, direction=direction, noise_input=noise == "input")
    make_bundle(make, out, options=options, overwrite=overwrite)


def make_bundle(make: "Callable[..., Manifest]", out: Path, **arguments: Any) -> None:
    """Make the bundle ``out`` with one of the room's functions, and print what was found.

    Raises ExportError in the end for precisions that were asked for and left out.
    """
    from export.checks.verification import Verification

    with console.status("exporting") as status:
        manifest = make(destination=out, progress=status.update, **arguments)

    found = Verification.of(manifest)
    _print_export(found, manifest.opset, out)
    found.check_precisions(out)


def verify(bundle: Bundle) -> None:
    """Check a bundle again: hashes, graph rules, golden images.

    It needs no PyTorch.
    """
    from export.bundles.verify import verify_bundle

    found = [(finding.check, finding.figure) for finding in verify_bundle(bundle)]
    print_table(("check", "found"), found, title=str(bundle))


def inspect(
    source: Annotated[
        Path, typer.Argument(metavar="FILE|BUNDLE", help="An ONNX file from anywhere, or the folder of a bundle.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say what an ONNX file is, what it costs and where it runs.

    It needs no PyTorch, and runs nothing of the file.
    """
    from export.foreign.inspection import describe
    from export.foreign.inspection import inspect as look

    found = look(source)
    if json:
        console.print_json(data=[asdict(inspection) for inspection in found])
        return
    for inspection in found:
        print_facts(inspection.file, describe(inspection))


def _print_export(found: "Verification", opset: int, out: Path) -> None:
    """Print what an export found, and where the bundle is."""
    say_all(_differences(found))
    say_all(f"target {name}: {report.file} fits {report.runtime}" for name, report in found.targets.items())
    say_all(f"note: {what}" for what in found.notes)
    say_all(f"not checked: {what}" for what in found.not_checked)

    far = " as far as it can be" if found.not_checked else ""
    say(f"exported and verified{far}: {out} (opset {opset})")


def _differences(found: "Verification") -> Iterator[str]:
    """How far every graph is from its reference, a line each."""
    reference = found.agreement.reference
    for batch, difference in found.agreement.by_batch.items():
        differ = f"{difference.pixels:.3%} of values differ"
        yield f"batch {batch:>2}: ONNX Runtime within {difference.levels} of 255 levels of {reference}, {differ}"

    for precision, report in found.precisions.items():
        if far := report.differences.get("probe"):
            levels = f"mean {far.mean:.3f} and at most {far.most:.1f} of 255 levels"
            kid = "" if report.kid is None else f", KID-lite0 {report.kid:.4f} (fp32 {report.kid_of_fp32:.4f})"
            yield f"{precision}: {levels} from fp32, PSNR {far.psnr:.1f} dB{kid}"

    if built := found.tensorrt:
        yield f"TensorRT: {' and '.join(built.engines)} parsed and built, every profile, by {built.built_with}"
