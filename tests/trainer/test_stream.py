"""Batches: the right images, in the right order, as the networks see them."""

from dataclasses import replace

import numpy as np
import torch

from core.spec import CATEGORY, GeneratorSpec
from trainer.data.pack import Pack
from trainer.data.sampler import balanced, indices
from trainer.stream import Stream

SPEC = GeneratorSpec("dcgan", 16, 16, 4, 8, classes=("a", "b"))


def test_an_epoch_shows_every_image_once_with_its_label(pack: Pack) -> None:
    stream = Stream(pack, SPEC, 0, torch.device("cpu"))
    batches = [stream.read(images, 8, images // 8) for images in range(0, 40, 8)]
    assert [batch.step for batch in batches] == [0, 1, 2, 3, 4]
    seen = torch.cat([batch.images for batch in batches])
    straight = torch.from_numpy(np.array(pack.images)).permute(0, 3, 1, 2).float() / 255
    premultiplied = torch.cat([straight[:, :3] * straight[:, 3:], straight[:, 3:]], 1) * 2 - 1
    labels = torch.cat([batch.labels for batch in batches])
    for image, label in zip(seen, labels, strict=True):
        match = [i for i, known in enumerate(premultiplied) if torch.allclose(known, image, atol=1e-6)]
        assert label in [pack.labels[i] for i in match]
    order = [int((premultiplied - image).abs().flatten(1).sum(1).argmin()) for image in seen]
    assert sorted(order) == list(range(40))
    assert order != sorted(order)


def test_reading_again_gives_the_same_and_another_seed_another_order(pack: Pack) -> None:
    first, again, other = (Stream(pack, SPEC, seed, torch.device("cpu")).read(16, 8, 2).images for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_batch_is_what_the_sampler_chose_as_the_networks_see_it(pack: Pack) -> None:
    """RGB by its alpha, in −1 … 1: 2 c a / 255² − 1; labels for those alone who learn the pack's classes."""
    rows = [np.arange(0, 40, 2), np.arange(1, 40, 2)]
    for balance, chosen in (((), indices(40, 5, 36, 8)), ((True,), balanced(rows, 5, 36, 8))):
        batch = Stream(pack, SPEC, 5, torch.device("cpu"), *balance).read(36, 8, 4)
        straight = np.asarray(pack.images)[chosen].astype(np.float64)
        straight[..., :3] *= straight[..., 3:] / 255
        expected = torch.from_numpy(straight / 127.5 - 1).permute(0, 3, 1, 2)
        assert batch.step == 4
        assert torch.allclose(batch.images.double(), expected, atol=1e-6)
        assert batch.labels is not None
        assert batch.labels.tolist() == [row % 2 for row in chosen]
    for spec in (replace(SPEC, classes=()), replace(SPEC, classes=(f"{CATEGORY}0", f"{CATEGORY}1"))):
        assert Stream(pack, spec, 5, torch.device("cpu")).read(36, 8, 4).labels is None
