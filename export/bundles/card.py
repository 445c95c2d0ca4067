"""The model card: what a person wants to know before using a bundle. Markdown, from the manifest's own facts."""

from dataclasses import asdict
from typing import Any

from core.bundle import GOLDEN, MANIFEST, MAPPING, SHEET, SYNTHESIS
from core.contract import OPSET, Port, input_ports, mapping_ports, output_port, synthesis_ports
from core.spec import GeneratorSpec
from export.bundles.card_text import usage_of
from export.bundles.provenance import KIDS, OF_RESULTS
from export.checks.verification import ORIGINAL, PrecisionReport, Verification
from export.precisions.limits import FILES

_ONNX_TYPES = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8"}


def render_card(
    name: str,
    spec: GeneratorSpec,
    verification: Verification,
    styles: Port | None = None,
    judged: dict[str, Any] | None = None,
    opset: int = OPSET,
) -> str:
    """The text of ``CARD.md`` for the generator ``name``; ``verification`` is what its export found.

    ``styles`` is what lies between the two parts of a bundle that has them, ``judged`` its KID where that is known.
    """
    usage = usage_of(spec)
    paragraphs = [
        f"# {name}",
        f"An ONNX graph, family {spec.family}: {usage.makes}.",
        f"![{usage.shown}]({SHEET})",
        "## Trained on",
        _training(spec),
        _judged(judged or {}, spec),
        "## Inputs and output",
        _ports(input_ports(spec), output_port(spec)),
        f"Every dimension is fixed but the first: {_batches(spec)}. Opset {opset}, standard operators only.",
        *verification.notes,
        *(_parts(spec, styles) if styles else []),
        *(_precisions(verification.precisions, usage.probed) if verification.precisions else []),
        f"## {usage.heading}",
        usage.how,
        "## How far it was checked",
        _checks(verification, usage.tried),
        "## Limits",
        _limits(spec, usage.limits),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _batches(spec: GeneratorSpec) -> str:
    return "any batch works" if spec.most_at_once(2) > 1 else "it is 1, for the graph takes one image at a time"


def _training(spec: GeneratorSpec) -> str:
    facts: dict[str, Any] = asdict(spec.provenance)
    facts["images_seen"] = f"{spec.provenance.images_seen:,}" if spec.provenance.images_seen else ""

    # A source has a licence and an attribution of its own, or those of the images
    for name in ("licence", "attribution"):
        if spec.source is None:
            del facts[f"source_{name}"]
        elif not facts[f"source_{name}"]:
            facts[f"source_{name}"] = facts[f"data_{name}"]
    if spec.source is None:
        del facts["source_examples"]

    if spec.classes:
        facts["classes"] = ", ".join(spec.classes)
    lines = [f"| {name.replace('_', ' ')} | {_cell(str(fact)) or 'not recorded'} |" for name, fact in facts.items()]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _judged(judged: dict[str, Any], spec: GeneratorSpec) -> str:
    if spec.source is not None:
        return _results_judged(judged)
    kids = [f"{name} {judged[name]:.4f}" for name in KIDS if name in judged]
    if not kids:
        return "How near its images come to the training images (KID) is not known: `evaluate` was not run before."
    data = "the training images" if judged["on_the_training_data"] else "other images than it was trained on"
    return f"{', '.join(kids)}, from {judged['samples']} samples against {data} (0 would be as near as they are alike)."


def _results_judged(judged: dict[str, Any]) -> str:
    """A translator's figures, and by what they were taken."""
    figures = [f"{called} {judged[name]:.4g}" for name, called in OF_RESULTS.items() if name in judged]
    if not figures:
        return "How good its results are is not known: `evaluate` was not run before."
    what = f"{judged['pairs']} pairs" if "pairs" in judged else f"{judged['pictures']} pictures"
    data = "held out of its data" if judged["on_the_training_data"] else "of other data than it was trained on"
    return f"{', '.join(figures)}, of {what} {data}. L1 is in levels of 255."


def _parts(spec: GeneratorSpec, styles: Port) -> list[str]:
    return [
        "## In two parts",
        f"The same generator, cut where a style for each layer passes: what is done to `{styles.name}` in between "
        "mixes, moves or edits images. Truncation is already in it.",
        f"`{MAPPING}`:",
        _ports(mapping_ports(spec), styles),
        f"`{SYNTHESIS}`:",
        _ports(synthesis_ports(spec, styles), output_port(spec)),
    ]


def _precisions(reports: dict[str, PrecisionReport], probed: str) -> list[str]:
    lines = [_precision_row(name, report) for name, report in reports.items()]
    heads = ["| precision | file | mean, most levels of 255 apart | PSNR | KID-lite0 (fp32) |", "| - | - | - | - | - |"]
    return [
        "## Other precisions",
        f"The whole generator with the same inputs and output, against the fp32 graph over {probed}. A part of a "
        "generator, where there is one, is fp32 only.",
        "\n".join([*heads, *lines]),
    ]


def _precision_row(name: str, report: PrecisionReport) -> str:
    far = report.differences.get("probe")
    levels, psnr = (f"{far.mean:.3f}, {far.most:.1f}", f"{far.psnr:.1f} dB") if far else ("", "")
    kid = "" if report.kid is None else f"{report.kid:.4f} ({report.kid_of_fp32:.4f})"
    file = f"not written: {_cell(report.failed)}" if report.failed else f"`{FILES[name]}`"
    return f"| {name}{' (experimental)' if report.experimental else ''} | {file} | {levels} | {psnr} | {kid} |"


def _ports(takes: tuple[Port, ...], gives: Port) -> str:
    lines = [_port_row("input", port) for port in takes] + [_port_row("output", gives)]
    return "\n".join(["| | name | type | shape | meaning |", "| --- | --- | --- | --- | --- |", *lines])


def _port_row(direction: str, port: Port) -> str:
    shape = ", ".join(["N", *map(str, port.shape)])
    return f"| {direction} | `{port.name}` | {_ONNX_TYPES[port.dtype]} | [{shape}] | {port.meaning} |"


def _checks(verification: Verification, tried: str) -> str:
    """Against whom, how far apart, and what could not be checked: of a graph from elsewhere, the most of it."""
    agreement, single = verification.agreement, verification.agreement.row_alone
    foreign = agreement.reference == ORIGINAL
    against = "the file as it came, its values made pixels in NumPy" if foreign else "PyTorch"
    maker = "that file" if foreign else "PyTorch"
    lines = [f"| {batch} | {d.levels} | {d.pixels:.3%} |" for batch, d in agreement.by_batch.items()]
    not_checked = [f"- {what}" for what in verification.not_checked]

    return "\n".join(
        [
            f"ONNX Runtime (CPU) against {against}, {tried}:\n",
            "| batch | most levels of 255 apart | pixels that differ at all |",
            "| --- | --- | --- |",
            *lines,
            "",
            f"An image alone against the same image in a batch: {single.levels} levels at most, "
            f"{single.pixels:.3%} of pixels. Two runs on the same inputs: bit-identical.\n",
            f"`{GOLDEN}` holds inputs and the images {maker} made of them, `{MANIFEST}` "
            "the hashes of all files and of itself; `ganfoundry verify` checks both without PyTorch.",
            *(["\nNot checked:\n", *not_checked] if foreign else []),
        ]
    )


def _limits(spec: GeneratorSpec, limits: tuple[str, ...]) -> str:
    lines = [
        *limits,
        "Images resembling single training images are possible: check before publishing them as new work.",
        "Another runtime or batch size adds up in another order: a pixel may differ by 1 level of 255.",
        "Whether and how its images may be used depends on the licence of the training data.",
    ]
    if spec.channels == 4:
        lines.append("Alpha is straight, not premultiplied; the colour under alpha 0 means nothing.")
    return "\n".join(f"- {line}" for line in lines)


def _cell(text: str) -> str:
    """Text safe inside a table cell."""
    return " ".join(text.replace("|", "\\|").split())
