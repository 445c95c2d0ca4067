"""A plain pix2pix beside ours: same pack, same minutes, same judge, same FLOPs of the generator. Run by hand.

    python benchmarks/pix2pix_reference.py data/lines --minutes 20 --threads 2 --width 16
    python benchmarks/pix2pix_reference.py data/lines --minutes 20 --threads 2 --width 16 --ours pix2pix-cpu

Without --ours it trains what Isola et al. 2017 describe (arXiv 1611.07004, section 3 and 6): a U-Net of 4x4 strided and
transposed convolutions down to 1x1, batch norm with the statistics of the batch also at the end, dropout of a half in
the three innermost doublings, a discriminator of 70-pixel patches that sees the source, binary cross-entropy, λ 100,
Adam of 2e-4 and β₁ 0.5, batches of 1, mirrored and moved pictures, no average of the weights. --width shrinks the
generator (64 in the paper); choose it so that the printed multiply-adds are those of ours. With --ours a preset is
trained for as long. Both are judged by the held-out pairs, the reference with dropout off and with it on.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.contract import SOURCE, Inputs
from core.images import Images
from core.pixels import to_pixels, to_values
from core.spec import GeneratorSpec
from trainer import loop
from trainer.data.pack import Pack
from trainer.metrics.beaten import table
from trainer.metrics.extractor import lite0
from trainer.metrics.features import maker
from trainer.metrics.held import pairs_of
from trainer.metrics.translation import evaluate_pairs
from trainer.objective.augmentation import augment_alike
from trainer.planning import plan, spec_of
from trainer.presets import resolve
from trainer.training import begin, stream_of

RANGE = (-1.0, 1.0)


class Reference(nn.Module):
    """Section 6.1.1 for images of 2ⁿ pixels: C64-C128-C256-C512-C512…, its mirror image, and skips between them."""

    def __init__(self, spec: GeneratorSpec, width: int) -> None:
        super().__init__()
        assert spec.source is not None
        levels = (min(spec.height, spec.width)).bit_length() - 1
        widths = [width * min(2**level, 8) for level in range(levels)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        inputs = spec.source.channels
        for level, outputs in enumerate(widths):
            normed = [nn.BatchNorm2d(outputs)] if 0 < level < levels - 1 else []
            before = [nn.LeakyReLU(0.2)] if level else []
            self.down.append(nn.Sequential(*before, nn.Conv2d(inputs, outputs, 4, 2, 1), *normed))
            inputs = outputs
        for level in range(levels - 1, -1, -1):
            outputs = widths[level - 1] if level else spec.channels
            into = widths[level] * (1 if level == levels - 1 else 2)
            dropped = [nn.Dropout(0.5)] if level and levels - 4 <= level < levels - 1 else []
            after = [nn.BatchNorm2d(outputs), *dropped] if level else [nn.Tanh()]
            self.up.append(nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(into, outputs, 4, 2, 1), *after))
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for halve in self.down:
            x = halve(x)
            seen.append(x)
        x = seen.pop()
        for step, double in enumerate(self.up):
            x = double(x if step == 0 else torch.cat([x, seen.pop()], dim=1))
        return x


class Patches(nn.Module):
    """Section 6.1.2: C64-C128-C256-C512, then one score a patch of 70 pixels."""

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
            layers += [nn.Conv2d(width * inputs, width * outputs, 4, stride, 1), nn.BatchNorm2d(width * outputs)]
            layers += [nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Conv2d(width * 8, 1, 4, 1, 1))
        self.apply(initialise)

    def forward(self, source: Tensor, image: Tensor) -> Tensor:
        scores: Tensor = self.body(torch.cat([source, image], dim=1))
        return scores


def initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--ours", metavar="PRESET")
    parser.add_argument("--set", action="append", default=[], help="a setting of that preset")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pack = Pack.open(args.pack)
    spec = spec_of(resolve("pix2pix"), pack.info)
    if args.ours:
        judge(args.ours, *ours(args, pack), pack, spec)
        return
    torch.manual_seed(0)
    generator = Reference(spec, args.width)
    print(f"reference of width {args.width}: {multiply_adds(generator, spec) / 1e6:.0f} million multiply-adds an image")
    rounds = train_reference(generator, pack, spec, args.minutes * 60)
    generator.train()
    judge("reference, as published (batch statistics, dropout)", made_by(generator), rounds, pack, spec)
    for layer in generator.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
    judge("reference, batch statistics, no dropout", made_by(generator), rounds, pack, spec)


def train_reference(generator: Reference, pack: Pack, spec: GeneratorSpec, seconds: float) -> int:
    """Train for so many seconds; how many images it saw."""
    assert spec.source is not None
    discriminator = Patches(spec.source.channels + spec.channels)
    movers = [torch.optim.Adam(net.parameters(), 2e-4, betas=(0.5, 0.999)) for net in (generator, discriminator)]
    rows, random, seen, start = pack.rows("train"), np.random.RandomState(0), 0, perf_counter()
    while perf_counter() - start < seconds:
        row = [int(rows[random.randint(len(rows))])]
        stacks = (to_values(torch.from_numpy(get(row)), RANGE) for get in (pack.gather_sources, pack.gather))
        source, target = augment_alike(("translation", "flip"), 1.0, *stacks)
        made = generator(source)
        real, fake = discriminator(source, target), discriminator(source, made.detach())
        loss = (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2
        movers[1].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        movers[1].step()
        loss = F.softplus(-discriminator(source, made)).mean() + 100 * (made - target).abs().mean()
        movers[0].zero_grad()
        loss.backward()
        movers[0].step()
        seen += 1
    return seen


def ours(args: argparse.Namespace, pack: Pack) -> tuple[Callable[[Inputs], Images], int]:
    """The preset, trained for as long; what it makes of sources, and how many images it saw."""
    planned = plan(resolve(args.ours, args.set), pack)
    training, stream = begin(planned), stream_of(planned)
    print(f"{args.ours}: {multiply_adds(training.average, planned.spec) / 1e6:.0f} million multiply-adds an image")
    end = perf_counter() + args.minutes * 60
    training.config = replace(planned.config, kimg=1e6)
    loop.run(training, stream, [], lambda: perf_counter() > end)
    return maker(training.average), training.images_seen


def made_by(generator: Reference) -> Callable[[Inputs], Images]:
    """One picture at a time, as the reference's batch statistics want it."""

    @torch.no_grad()
    def make(inputs: Inputs) -> Images:
        values = to_values(torch.from_numpy(np.ascontiguousarray(inputs[SOURCE])), RANGE)
        parts = [to_pixels(generator(one[None]), RANGE) for one in values]
        return np.asarray(torch.cat(parts))

    return make


def judge(name: str, make: Callable[[Inputs], Images], seen: int, pack: Pack, spec: GeneratorSpec) -> None:
    """Print the figures on held-out pairs."""
    known, held = pairs_of(pack, spec, "train"), pairs_of(pack, spec, "held")
    found, _ = evaluate_pairs(make, spec, pack, known, held, lite0(), lambda _: lambda *_: None)
    print(f"{name}, after {seen:,} images")
    for row in table(found)[1]:
        print("   ", row[0].ljust(28), row[1])


def multiply_adds(network: nn.Module, spec: GeneratorSpec) -> int:
    """Of every convolution, for one image."""
    assert spec.source is not None
    total = 0

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        places = inputs[0] if layer.transposed else output
        total += layer.weight.numel() * places.shape[2] * places.shape[3]

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    was = network.training
    with torch.no_grad():
        network.eval()(torch.zeros(1, spec.source.channels, spec.source.height, spec.source.width))
    network.train(was)
    for hook in hooks:
        hook.remove()
    return total


if __name__ == "__main__":
    main()
