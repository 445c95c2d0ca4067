"""How long an evaluation is said to take, held against work whose length is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.images import Images
from core.spec import GeneratorSpec
from tests.trainer.conftest import blobs
from trainer.data.pack import PackInfo, write_pack
from trainer.metrics import timing
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import inputs_like, real_features
from trainer.metrics.scale import scale_of

SPEC = GeneratorSpec("dcgan", 16, 16, 4, 8)


def test_images_real_ones_and_pairs_are_counted_by_what_a_few_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making takes 0.1 s an image, looking 0.05, and the kernel of a pair a microsecond."""
    now = [0.0]
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])

    def make(inputs: dict[str, np.ndarray]) -> Images:
        now[0] += 0.1 * len(inputs["z"])
        return blobs(len(inputs["z"]))

    def features(images: Images) -> torch.Tensor:
        now[0] += 0.05 * len(images)
        return torch.from_numpy(images.reshape(len(images), -1)[:, ::16].astype(np.float32))

    def kid(x: torch.Tensor, y: torch.Tensor) -> float:
        now[0] += 1e-6 * 3 * len(x) * len(y)
        return 0.0

    monkeypatch.setattr(timing, "kid", kid)
    pack = write_pack(tmp_path / "pack", blobs(80), None, PackInfo("discs", 16, 16, 4))
    extractor, inputs = Extractor("slow", {}, features), inputs_like(pack, SPEC, range(1000))
    new = timing.announcement(make, inputs, pack, extractor, pairs=20e6)
    # 1,000 x 0.15, then 80 real ones and 3 x 40 spoiled at 0.05, and 20 s of comparing: 180 s.
    assert new == "about 3 minutes here: 1,000 images to make and judge, 80 real ones to look at"
    scale_of(pack, extractor, real_features(pack, extractor))
    known = timing.announcement(make, {"z": inputs["z"][:200]}, pack, extractor, pairs=0.0)
    assert known == "about 30 seconds here: 200 images to make and judge, 80 real ones are known"
