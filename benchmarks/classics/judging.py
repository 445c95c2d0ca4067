"""What is measured of a trained generator, each figure as ``__main__`` says."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from real import Data, Judge, Labels, classes_of, judge_of, learn, outputs_of
from runs import Classic
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr
from torchmetrics.functional.image import structural_similarity_index_measure

from core.checkpoint import load_generator
from core.contract import sample_inputs
from core.files import write_atomic
from core.images import Images
from core.networks.base import Generator
from trainer.hooks.preview import images_of
from trainer.metrics.extractor import Extractor, lite0
from trainer.metrics.features import inputs_like, real_features
from trainer.metrics.kid import kid
from trainer.metrics.precision_recall import precision_recall
from trainer.run import KID, Run

PAIRS = 500  # of images of one class
REGRESSOR_IMAGES = 8000
Figures = dict[str, Any]


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
    regressor = Judge(spec.codes, spec.height, spec.width, spec.channels)
    learn(regressor, images[known[0]], codes[known[0]], images_seen=60_000)
    read = outputs_of(regressor, images[known[1]])
    correlations = [abs(float(np.corrcoef(a, b)[0, 1])) for a, b in zip(read.T, codes[known[1]].T, strict=True)]
    teller = Judge(len(spec.classes), spec.height, spec.width, spec.channels)
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
