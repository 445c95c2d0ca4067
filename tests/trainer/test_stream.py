"""Batches: the right images, in the right order, as the networks see them."""

import numpy as np
import torch

from core.spec import GeneratorSpec
from trainer.data.pack import Pack
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
