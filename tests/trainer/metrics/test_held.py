"""What another form of a generator is judged by: seeds, or the held-out sources of a pack."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from core.contract import SOURCE
from core.errors import DataError
from core.spec import GeneratorSpec, SourceSpec
from tests.trainer.metrics.conftest import thumbnails
from tests.trainer.pairs import paired_pack, unpaired_pack
from trainer.data.pack import Pack
from trainer.metrics.extractor import Extractor
from trainer.metrics.held import judged_by

SPEC = GeneratorSpec("unet", 16, 16, 4, 0, kind="image", source=SourceSpec(16, 16, 4))


@pytest.mark.parametrize("made", [paired_pack, partial(unpaired_pack, sources=60)])
def test_a_translator_is_judged_by_held_out_sources_and_what_there_is_to_train_on(
    made, tmp_path: Path, extractor: Extractor
) -> None:
    pack: Pack = made(tmp_path / "pack", 160)
    inputs, reals = judged_by(pack, SPEC, 256, extractor)
    held = pack.gather_sources(pack.source_rows("held"))
    assert sorted(row.tobytes() for row in inputs[SOURCE]) == sorted(row.tobytes() for row in held)
    expected = thumbnails(pack.gather(pack.rows("train")))
    order = [np.lexsort(np.asarray(features).T) for features in (reals, expected)]
    assert np.allclose(np.asarray(reals)[order[0]], np.asarray(expected)[order[1]])
    assert len(judged_by(pack, SPEC, 9, extractor)[0][SOURCE]) == 9
    with pytest.raises(DataError, match="holds out 3 pictures, and judging by them needs at least 8"):
        judged_by(pack, SPEC, 3, extractor)


def test_what_takes_latents_is_judged_by_seeds(tmp_path: Path, extractor: Extractor) -> None:
    pack = paired_pack(tmp_path / "pack", 100)
    inputs, reals = judged_by(pack, GeneratorSpec("dcgan", 16, 16, 4, 8), 5, extractor)
    assert inputs["z"].shape == (5, 8) and len(reals) == len(pack)
