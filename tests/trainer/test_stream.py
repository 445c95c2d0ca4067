"""Batches: the right images, in the right order, as the networks see them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from core.pixels import to_values
from core.spec import CATEGORY, GeneratorSpec, SourceSpec
from tests.trainer.pairs import paired_pack, unpaired_pack
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


def shown(stream: Stream, pictures: np.ndarray, of: str) -> set[int]:
    """The rows of ``pictures`` that are seen in a few epochs."""
    known = {
        to_values(torch.from_numpy(np.array(one[None])), (-1, 1)).numpy().tobytes(): i for i, one in enumerate(pictures)
    }
    batches = [stream.read(start, 8, start // 8) for start in range(0, 160, 8)]
    return {known[picture.numpy()[None].tobytes()] for batch in batches for picture in getattr(batch, of)}


def test_what_is_held_out_or_to_choose_by_is_never_seen(tmp_path: Path) -> None:
    """Of a plain pack, of pairs and of two domains; the images of each, and the sources."""
    pairs, domains = paired_pack(tmp_path / "pairs"), unpaired_pack(tmp_path / "domains")
    noise = replace(SPEC, classes=())
    translator = replace(noise, family="unet", kind="image", latent_dim=0, source=SourceSpec(16, 16, 4))
    cpu = torch.device("cpu")
    for pack, spec, apart in ((pairs, noise, False), (pairs, translator, False), (domains, translator, True)):
        for balance in (False, True):
            stream = Stream(pack, spec, 3, cpu, balance, apart)
            assert shown(stream, pack.images, "images") == set(pack.rows("train").tolist())
            assert pack.sources is not None
            if spec.source is not None:
                assert shown(stream, pack.sources, "sources") == set(pack.source_rows("train").tolist())
    batch = Stream(pairs, translator, 3, cpu).read(8, 8, 1)
    rows = pairs.rows("train")[indices(28, 3, 8, 8)]
    assert batch.sources is not None
    for seen, pictures in ((batch.images, pairs.gather(rows)), (batch.sources, pairs.gather_sources(rows))):
        assert torch.equal(seen, to_values(torch.from_numpy(pictures), (-1, 1)))
