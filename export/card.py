"""The model card: what a person wants to know before using a bundle. Markdown, from the manifest's own facts."""

from dataclasses import asdict
from typing import Any

from core.bundle import GOLDEN, GRAPH, MANIFEST, MAPPING, SHEET, SYNTHESIS
from core.contract import NOISE, OPSET, Port, input_ports, mapping_ports, output_port, synthesis_ports
from core.latents import ALGORITHM
from core.spec import GeneratorSpec
from export.precision import FILES
from export.provenance import KIDS

SHEET_SEEDS = range(64)

_ONNX_TYPES = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8"}


def render_card(
    name: str,
    spec: GeneratorSpec,
    verification: dict[str, Any],
    styles: Port | None = None,
    judged: dict[str, Any] | None = None,
    opset: int = OPSET,
) -> str:
    """The text of ``CARD.md`` for the generator ``name``; ``verification`` holds the figures of the export's trial.

    ``styles`` is what lies between the two parts of a bundle that has them, ``judged`` its KID where that is known.
    """
    paragraphs = [
        f"# {name}",
        f"An ONNX graph, family {spec.family}: {_colour(spec)} images {spec.height} pixels high, {spec.width} wide.",
        f"![{_shown(spec)}, truncation 1]({SHEET})",
        "## Trained on",
        _training(spec),
        _judged(judged or {}),
        "## Inputs and output",
        _ports(input_ports(spec), output_port(spec)),
        f"Every dimension is fixed but the first: {_batches(spec)}. Opset {opset}, standard operators only.",
        *verification.get("notes", []),
        *(_parts(spec, styles) if styles else []),
        *(_precisions(verification["precisions"]) if "precisions" in verification else []),
        "## Sampling",
        _sampling(spec),
        "## How far it was checked",
        _checks(verification),
        "## Limits",
        _limits(spec),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _batches(spec: GeneratorSpec) -> str:
    return "any batch works" if spec.most_at_once(2) > 1 else "it is 1, for the graph takes one image at a time"


def _shown(spec: GeneratorSpec) -> str:
    """What the sheet shows."""
    if spec.classes:
        return f"A row for each class: {', '.join(spec.classes[: len(SHEET_SEEDS)])}"
    return f"The images of seeds {SHEET_SEEDS[0]} to {SHEET_SEEDS[-1]}"


def _training(spec: GeneratorSpec) -> str:
    facts: dict[str, Any] = asdict(spec.provenance)
    facts["images_seen"] = f"{spec.provenance.images_seen:,}" if spec.provenance.images_seen else ""
    if spec.classes:
        facts["classes"] = ", ".join(spec.classes)
    lines = [f"| {name.replace('_', ' ')} | {_cell(str(fact)) or 'not recorded'} |" for name, fact in facts.items()]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _judged(judged: dict[str, Any]) -> str:
    kids = [f"{name} {judged[name]:.4f}" for name in KIDS if name in judged]
    if not kids:
        return "How near its images come to the training images (KID) is not known: `evaluate` was not run before."
    data = "the training images" if judged["on_the_training_data"] else "other images than it was trained on"
    return f"{', '.join(kids)}, from {judged['samples']} samples against {data} (0 would be as near as they are alike)."


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


def _precisions(figures: dict[str, Any]) -> list[str]:
    lines = [_precision_row(name, found) for name, found in figures.items()]
    heads = ["| precision | file | mean, most levels of 255 apart | PSNR | KID-lite0 (fp32) |", "| - | - | - | - | - |"]
    return [
        "## Other precisions",
        "The whole generator with the same inputs and output, against the fp32 graph over 256 seeds (in 32 of them a "
        "component at 4 σ). A part of a generator, where there is one, is fp32 only.",
        "\n".join([*heads, *lines]),
    ]


def _precision_row(name: str, found: dict[str, Any]) -> str:
    far = found.get("probe")
    levels, psnr = (f"{far['mean']:.3f}, {far['most']:.1f}", f"{far['psnr']:.1f} dB") if far else ("", "")
    kid = f"{found['kid']:.4f} ({found['kid_of_fp32']:.4f})" if "kid" in found else ""
    file = f"not written: {_cell(found['failed'])}" if found["failed"] else f"`{FILES[name]}`"
    return f"| {name}{' (experimental)' if found['experimental'] else ''} | {file} | {levels} | {psnr} | {kid} |"


def _ports(takes: tuple[Port, ...], gives: Port) -> str:
    lines = [_port_row("input", port) for port in takes] + [_port_row("output", gives)]
    return "\n".join(["| | name | type | shape | meaning |", "| --- | --- | --- | --- | --- |", *lines])


def _port_row(direction: str, port: Port) -> str:
    shape = ", ".join(["N", *map(str, port.shape)])
    return f"| {direction} | `{port.name}` | {_ONNX_TYPES[port.dtype]} | [{shape}] | {port.meaning} |"


def _sampling(spec: GeneratorSpec) -> str:
    label = '    "label": np.zeros((1, 1), np.int64),\n' if spec.classes else ""
    codes = f'    "codes": np.zeros((1, {spec.codes}), np.float32),\n' if spec.codes else ""
    noise = f'    "{NOISE}": values[:, {spec.latent_dim}:],\n' if spec.noise else ""
    beside = ", with the noise after the latent in one stream" if spec.noise else ""
    return f"""A seed always means the same latent: `{ALGORITHM}`{beside}.

```python
import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: some versions of ONNX Runtime report to Microsoft
import numpy as np, onnxruntime
from PIL import Image

seed = 7
values = np.random.RandomState(seed).standard_normal((1, {spec.latent_dim + spec.noise})).astype(np.float32)
session = onnxruntime.InferenceSession("{GRAPH}", providers=["CPUExecutionProvider"])
(images,) = session.run(["image"], {{
    "z": values[:, :{spec.latent_dim}],
    "truncation": np.ones((1, 1), np.float32),
{label}{codes}{noise}}})
Image.fromarray(images[0]{"[:, :, 0]" if spec.channels == 1 else ""}).save("seed7.png")
```"""


def _checks(verification: dict[str, Any]) -> str:
    """Against whom, how far apart, and what could not be checked: of a graph from elsewhere, the most of it."""
    foreign = "onnxruntime_against_original_by_batch" in verification
    against = "the file as it came, its values made pixels in NumPy" if foreign else "PyTorch"
    maker = "that file" if foreign else "PyTorch"
    batches = verification[f"onnxruntime_against_{'original' if foreign else 'pytorch'}_by_batch"]
    single = verification["row_alone_against_row_in_batch"]
    lines = [f"| {batch} | {d['levels']} | {d['pixels']:.3%} |" for batch, d in batches.items()]
    return "\n".join(
        [
            f"ONNX Runtime (CPU) against {against}, truncation 1 and 0.5:\n",
            "| batch | most levels of 255 apart | pixels that differ at all |",
            "| --- | --- | --- |",
            *lines,
            "",
            f"An image alone against the same image in a batch: {single['levels']} levels at most, "
            f"{single['pixels']:.3%} of pixels. Two runs on the same inputs: bit-identical.\n",
            f"`{GOLDEN}` holds inputs and the images {maker} made of them, `{MANIFEST}` "
            "the hashes of all files and of itself; `ganfoundry verify` checks both without PyTorch.",
            *(["\nNot checked:\n", *(f"- {what}" for what in verification["not_checked"])] if foreign else []),
        ]
    )


def _limits(spec: GeneratorSpec) -> str:
    lines = [
        "It makes images like those it was trained on, at this size, and inherits what they get wrong or leave out.",
        "Images resembling single training images are possible: check before publishing them as new work.",
        "Another runtime or batch size adds up in another order: a pixel may differ by 1 level of 255.",
        "Whether and how its images may be used depends on the licence of the training data.",
    ]
    if spec.channels == 4:
        lines.append("Alpha is straight, not premultiplied; the colour under alpha 0 means nothing.")
    return "\n".join(f"- {line}" for line in lines)


def _colour(spec: GeneratorSpec) -> str:
    return {1: "grey", 3: "RGB", 4: "RGBA"}[spec.channels]


def _cell(text: str) -> str:
    """Text safe inside a table cell."""
    return " ".join(text.replace("|", "\\|").split())
