"""What few images do: two checks, run by hand. The same command again goes on where it stopped.

    python benchmarks/small_data.py augmentation data/openmoji32 --preset dcgan-cpu --kimg 90 --out runs/few
    python benchmarks/small_data.py overfit data/openmoji32 --kimg 60 --out runs/overfit

``augmentation`` trains a preset on 500 random images of a pack, with and without its augmentation, and judges both by
the images that were held out. The gain is what augmentation takes off KID, in percent of what it is without.

``overfit`` trains every -cpu preset on 32 images, judges each by these 32, and draws its samples beside them. KID's
unbiased estimate leaves out pairs of a real image with itself, but samples that copy it meet it: so the floor is not
0. It is what samples drawn from the 32 themselves get, which is below 0, and what matters is how far a preset lies
above it; "others" is what as good images get that are not these: 500 more of the pack.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.checkpoint import load_generator
from core.errors import GanfoundryError
from core.files import write_atomic
from core.images import encode_png, over_checkerboard, sheet, to_pillow
from trainer.data.pack import Pack, write_pack
from trainer.hooks.preview import preview_images
from trainer.metrics.evaluate import LEAST, Evaluation, evaluate, results_path, save_results
from trainer.metrics.extractor import Extractor, lite0
from trainer.metrics.features import maker, real_features
from trainer.metrics.kid import kid
from trainer.planning import plan
from trainer.presets import PRESETS, resolve
from trainer.run import KID, Run
from trainer.settings.config import TrainConfig
from trainer.training import Outcome, train

OTHERS = 500  # images that a check compares with
WANTED = 30.0  # % that augmentation is to take off
SHOWN = 160  # pixels of a cell's side at most
Row = tuple[str, ...]


def main() -> None:
    args = arguments()
    pack, extractor = Pack.open(args.pack), lite0()
    if not 2 * LEAST <= args.images <= len(pack) - 2 * LEAST:
        raise SystemExit(f"--images {args.images}: {2 * LEAST} to {len(pack) - 2 * LEAST} of the {len(pack)} there are")
    order = np.random.RandomState(args.seed).permutation(len(pack))
    few = subset(pack, order[: args.images], args.out / "few")
    args.check(args, pack, few, order, extractor)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    checks = parser.add_subparsers(required=True)
    for check, images, preset in ((augmentation, 500, ["dcgan-cpu"]), (overfit, 32, sorted_cpu())):
        command = checks.add_parser(check.__name__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        command.set_defaults(check=check)
        command.add_argument("pack", type=Path)
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--preset", nargs="+", default=preset, choices=sorted(PRESETS))
        command.add_argument("--kimg", type=float, required=True)
        command.add_argument("--images", type=int, default=images, help="to train on")
        command.add_argument("--samples", type=int, default=2000, help="to judge by")
        command.add_argument("--seed", type=int, default=0, help="which images are drawn")
        command.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings, as of train")
    return parser.parse_args()


def sorted_cpu() -> list[str]:
    return sorted(name for name in PRESETS if name.endswith("-cpu"))


def augmentation(args: argparse.Namespace, pack: Pack, few: Pack, order: np.ndarray, extractor: Extractor) -> None:
    rest = subset(pack, order[args.images :], args.out / "rest")
    rows: list[Row] = []
    for preset in args.preset:
        own = resolve(preset, args.set, kimg=args.kimg).settled(len(few))
        if not own.augment:
            raise SystemExit(f"--preset {preset} has no augmentation to do without: --set augment=translation")
        found = []
        for name, config in (("with", own), ("without", replace(own, augment=(), augment_target=0.0))):
            judged = judge(config, few, rest, args.out / f"{preset}-{name}", args.samples, extractor)
            found.append(judged.figures.kid)
            rows.append((preset, f"{name} {', '.join(own.augment)}", f"{found[-1]:.4f}", *closer(judged)))
        gain = 100 * (1 - found[0] / found[1])
        rows.append((preset, f"gain {gain:.1f} % (wanted: {WANTED:g} %)", "", "", ""))
    ground = kid(real_features(few, extractor), real_features(rest, extractor))
    rows.append(("the few themselves", "", f"{ground:.4f}", "", ""))
    print(f"\n{len(few)} images of {pack.info.name}, {args.kimg:g} kimg, judged by the {len(rest)} held out")
    show(("preset", "augmentation", KID, "recall", "copies"), rows)


def overfit(args: argparse.Namespace, pack: Pack, few: Pack, order: np.ndarray, extractor: Extractor) -> None:
    others = subset(pack, order[args.images :][:OTHERS], args.out / "others")
    reals = real_features(few, extractor)
    drawn = np.random.RandomState(0).randint(len(few), size=args.samples)
    floor, ground = kid(reals[drawn], reals), kid(real_features(others, extractor), reals)
    rows: list[Row] = []
    for preset in args.preset:
        out = args.out / preset
        judged = judge(resolve(preset, args.set, kimg=args.kimg), few, few, out, args.samples, extractor)
        draw(few, Run(out), args.out / f"{preset}.png")
        found = judged.figures.kid
        rows.append((preset, f"{found:.4f}", f"{found - floor:.4f}", *closer(judged)))
    rows.append(("floor: drawn from the images", f"{floor:.4f}", f"{0:.4f}", "", ""))
    rows.append((f"{len(others)} others of the pack", f"{ground:.4f}", f"{ground - floor:.4f}", "", ""))
    print(f"\n{len(few)} images of {pack.info.name}, {args.kimg:g} kimg, judged by the same; look at {args.out}/*.png")
    show(("preset", KID, "above the floor", "recall", "copies"), rows)


def subset(pack: Pack, rows: np.ndarray, path: Path) -> Pack:
    """A pack of some images of another; the one that is there if it is these."""
    facts = {"of": pack.info.fingerprint, "rows": rows.tolist()}
    if path.exists():
        there = Pack.open(path)
        if there.info.options != facts:
            raise SystemExit(f"{path} holds other images: use another --out")
        return there
    info = replace(pack.info, name=f"{pack.info.name} {path.name}", options=facts, skipped=(), count=0, fingerprint="")
    labels = None if pack.labels is None else pack.labels[rows]
    return write_pack(path, (pack.images[row] for row in rows), labels, info)


def judge(config: TrainConfig, data: Pack, by: Pack, out: Path, samples: int, extractor: Extractor) -> Evaluation:
    """Train on one pack as far as is left to train, and evaluate by another."""
    if train(plan(config, data), out, report=teller(out.name)) is Outcome.STOPPED:
        raise SystemExit(f"stopped; {out} is saved: run the same command to go on")
    generator = load_generator(Run(out).generator)
    found, picture = evaluate(maker(generator), generator.spec, by, extractor, samples, 0, lambda _: lambda *_: None)
    save_results(found, picture, results_path(out))
    print(f"{out.name}: {KID} {found.figures.kid:.4f}", flush=True)
    return found


def teller(name: str) -> Callable[[dict[str, Any]], None]:
    def tell(line: dict[str, Any]) -> None:
        said = line.get("note") or f"{line['images']:,} images, {line['images_per_second']:g} images/s"
        print(f"{name}: {said}", flush=True)

    return tell


def closer(judged: Evaluation) -> Row:
    return f"{judged.figures.recall:.2f}", f"{judged.copies.suspicious:.1%}"


def draw(few: Pack, run: Run, path: Path) -> None:
    """The images on the left, as many samples on the right, enlarged."""
    images, columns = np.array(few.images[:64]), 8
    left, right = (sheet(one, columns) for one in (images, preview_images(load_generator(run.generator), len(images))))
    gap = np.zeros_like(left[:, : few.info.width])
    page = to_pillow(over_checkerboard(np.concatenate([left, gap, right], axis=1)))
    scale = max(1, SHOWN // (2 * max(few.info.height, few.info.width)))
    page = page.resize((page.width * scale, page.height * scale), Image.Resampling.NEAREST)
    write_atomic(path, encode_png(np.asarray(page)))


def show(head: Row, rows: Sequence[Row]) -> None:
    widths = [max(len(row[i]) for row in (head, *rows)) + 2 for i in range(len(head))]
    for row in (head, *rows):
        print("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    try:
        main()
    except GanfoundryError as error:
        raise SystemExit(str(error)) from None
