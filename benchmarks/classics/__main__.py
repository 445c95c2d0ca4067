"""The classic GANs on real digits, clothes and emoji: trained, judged by who never saw a generator, and shown.

    python benchmarks/classics train --out runs/classics [--only cgan acgan] [--device auto]
    python benchmarks/classics judge --out runs/classics
    python benchmarks/classics gallery --out runs/classics

``train`` runs them one after the other; the same command again goes on where it stopped. ``judge`` prints one table and
keeps each run's figures in its folder. ``gallery`` writes docs/gallery.md and its pictures. For runs on Fashion-MNIST
give ``--fashion FOLDER`` with its idx files, for those on OpenMoji ``--emoji PACK``, made by ``cli.py data openmoji
--size 32 --groups emoji-test.txt``.

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
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gallery import write_gallery
from judging import judge_all
from real import Data, emoji, fashion, mnist
from runs import RUNS, Classic

from core.errors import GanfoundryError
from trainer.data.pack import Pack
from trainer.planning import plan
from trainer.presets import resolve
from trainer.training import Outcome, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("train", "judge", "gallery"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=list(RUNS), choices=list(RUNS), metavar="RUN")
    parser.add_argument("--fashion", type=Path, help="the folder of Fashion-MNIST's idx files")
    parser.add_argument("--emoji", type=Path, help="a pack of OpenMoji with its groups as classes")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--kimg", type=float, help="instead of each run's own length")
    parser.add_argument("--samples", type=int, default=5000)
    args = parser.parse_args()
    data: dict[str, Callable[[], Data]] = {"mnist": lambda: mnist(args.out)}
    if args.fashion:
        data["fashion"] = lambda: fashion(args.out, args.fashion)
    if args.emoji:
        data["emoji"] = lambda: emoji(args.emoji)
    chosen = {name: RUNS[name] for name in args.only if RUNS[name].data in data}
    used = {name: data[name]() for name in {run.data for run in chosen.values()}}
    if args.do == "train":
        for name, run in chosen.items():
            train_one(args.out / name, run, used[run.data].pack, args.device, args.kimg)
    elif args.do == "judge":
        judge_all(args.out, chosen, used, args.samples)
    else:
        write_gallery(args.out, chosen)


def train_one(out: Path, run: Classic, pack: Pack, device: str, kimg: float | None) -> None:
    """Train as far as is left to train, with KID on the way."""
    config = resolve(
        run.preset, run.settings, kimg=kimg, optimiser=run.optimiser, conditional=run.conditional, device=device
    )
    config = replace(config, metric_kimg=config.kimg / 10)
    if train(plan(config, pack), out, report=lambda line: tell(out.name, line)) is Outcome.STOPPED:
        raise SystemExit(f"stopped; {out} is saved: run the same command to go on")


def tell(name: str, line: dict[str, Any]) -> None:
    said = line.get("note") or f"{line['images']:,} images, {line['images_per_second']:g} images/s"
    print(f"{name}: {said}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except GanfoundryError as error:
        raise SystemExit(str(error)) from None
