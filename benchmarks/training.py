"""Training throughput against a plain loop, in one process and run: the same networks, losses and images.

    python benchmarks/training.py [--size 64] [--width 64] [--batch 64] [--rounds 5] [--steps 12]

The reference is how a DCGAN is usually written: PNG files decoded by Pillow in a DataLoader with 2 workers, NCHW,
separate passes for real and fake, the discriminator's gradients left on while the generator learns. The two take
turns; each figure is a median over the turns. The losses of the first step, from equal weights and images, must agree.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from core.images import encode_png
from core.networks import build_discriminator, build_generator
from core.sizes import plan_size
from trainer import loop
from trainer.data.openmoji import OpenmojiOptions, import_openmoji
from trainer.data.pack import Pack
from trainer.optimisation import ema
from trainer.planning import Plan, plan
from trainer.presets import resolve
from trainer.stream import Stream
from trainer.systems import build_system

DIFFERENCE = 1e-4  # between the two losses of the first step: sums in another order
PAUSE = 1.0  # seconds before each turn: the loader's workers fill their queue, on nobody's time


class Files(Dataset[Tensor]):
    """A folder of PNGs as premultiplied values in [-1, 1], one file at a time."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.png"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as file:
            unit = torch.from_numpy(np.array(file.convert("RGBA"))).permute(2, 0, 1).float() / 255
        return torch.cat([unit[:3] * unit[3:], unit[3:]]) * 2 - 1


class Reference:
    """The plain loop."""

    def __init__(self, planned: Plan, files: Path) -> None:
        config = planned.config
        torch.manual_seed(config.seed)
        self.generator = build_generator(planned.spec)
        self.discriminator = build_discriminator(config.family, planned.spec, config.discriminator)
        betas = (config.beta1, config.beta2)
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), config.learning_rate_d, betas)
        self.adam_g = torch.optim.Adam(self.generator.parameters(), config.learning_rate_g, betas)
        self.loader = DataLoader(Files(files), config.batch, shuffle=True, num_workers=2, drop_last=True)
        self.latent_dim = config.latent_dim

    def batches(self) -> Iterator[Tensor]:
        while True:
            yield from self.loader

    def step(self, real: Tensor) -> tuple[float, float]:
        criterion = nn.BCEWithLogitsLoss()
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        self.discriminator.zero_grad()
        on_real = criterion(self.discriminator(real), ones)
        on_real.backward()
        fake = self.generator(torch.randn(len(real), self.latent_dim))
        on_fake = criterion(self.discriminator(fake.detach()), zeros)
        on_fake.backward()
        self.adam_d.step()
        self.generator.zero_grad()
        fooled = criterion(self.discriminator(fake), ones)
        fooled.backward()
        self.adam_g.step()
        return on_real.item() + on_fake.item(), fooled.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 64), ("width", 64), ("batch", 64), ("rounds", 5), ("steps", 12)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pack = import_openmoji(Path(folder) / "pack", OpenmojiOptions(plan_size(args.size, args.size)))
        files = write_pngs(pack, Path(folder) / "files")
        planned = plan(resolve("dcgan", [f"width={args.width}"], batch=args.batch, device="cpu"), pack)
        check_losses(planned, files)
        compare(planned, files, args.rounds, args.steps)


def write_pngs(pack: Pack, folder: Path) -> Path:
    folder.mkdir()
    for index, image in enumerate(pack.images):
        (folder / f"{index:05d}.png").write_bytes(encode_png(image))
    return folder


def new_training(planned: Plan) -> loop.Training:
    system = build_system(planned.config, planned.spec, planned.device)
    return loop.Training(planned.config, system, ema.averages_of(system.generators), planned.device)


def check_losses(planned: Plan, files: Path) -> None:
    ours, theirs = new_training(planned), Reference(planned, files)
    batch = Stream(planned.pack, planned.spec, 0, planned.device).read(0, planned.config.batch, 0)
    seed = loop.round_seed(planned.config.seed, 0)
    loop.play(ours, batch)
    torch.manual_seed(seed)
    expected = theirs.step(batch.images.contiguous())
    means = ours.meter.read()
    found = means["discriminator/loss"], means["generator/loss"]
    print(f"first losses: ours {found[0]:.6f} {found[1]:.6f}, reference {expected[0]:.6f} {expected[1]:.6f}")
    if any(abs(a - b) > DIFFERENCE * abs(b) for a, b in zip(found, expected, strict=True)):
        raise SystemExit("the losses disagree: the comparison would be unfair")


def compare(planned: Plan, files: Path, rounds: int, steps: int) -> None:
    variants = {
        "ours": our_steps(planned),
        "ours, contiguous": our_steps(replace(planned, config=replace(planned.config, channels_last=False))),
        "reference": reference_steps(planned, files),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, moves in variants.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            for _ in range(steps):
                next(moves)
            if turn:  # the first turn warms up
                seconds[name].append((time.perf_counter() - start) / steps)
    cores = torch.get_num_threads()
    print(f"{platform.processor() or platform.machine()}, {cores} threads, torch {torch.__version__}")
    reference = statistics.median(seconds["reference"])
    for name, times in seconds.items():
        median = statistics.median(times)
        rate = planned.config.batch / median
        print(f"{name:18} {rate:7.1f} images/s  {reference / median:.2f} x the reference")


def our_steps(planned: Plan) -> Iterator[None]:
    training = new_training(planned)
    stream = Stream(planned.pack, planned.spec, 0, planned.device)
    while True:
        count = training.system.begin(training.images_seen)
        loop.play(training, stream.read(training.images_seen, count, training.rounds))
        yield


def reference_steps(planned: Plan, files: Path) -> Iterator[None]:
    reference = Reference(planned, files)
    for real in reference.batches():
        reference.step(real)
        yield


if __name__ == "__main__":
    main()
