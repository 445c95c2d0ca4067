"""Sources and targets of a pack as a translator takes and gives them, whatever its sources are."""

from pathlib import Path

import torch

from core.errors import DataError
from core.images import Images, encode_png
from core.spec import GeneratorSpec
from trainer.corruption import IMAGES, Corruption
from trainer.data.pack import Pack
from trainer.data.sampler import Order


def sides(pack: Pack, spec: GeneratorSpec, part: str, most: int | None = None) -> tuple[Images, Images | None]:
    """The first ``most`` sources ``(n, H, W, C)`` of a part of ``pack``, and what they are to become, ``(n, h, w, c)``.

    None in place of those where nobody knows. Sources that are made of images are the same ones every time. A pack
    that holds nothing out has no part but ``train``: that is taken in place of the others. Raises DataError where the
    pack has no such sources.
    """
    assert spec.source is not None
    corruption = Corruption.parse(spec.source.origin)
    images, sources = (_rows(of(part), of("train"), most) for of in (pack.rows, pack.source_rows))
    if corruption is not None:
        targets = pack.gather(images)
        return _corrupted(corruption, targets), targets
    if pack.info.sources is None:
        raise DataError(
            f"the pack {pack.info.name} has no sources to translate: import it with --sources, --side-by-side or "
            "--unpaired"
        )
    paired = pack.info.sources.paired
    if spec.source.origin == IMAGES:
        return pack.gather(images), pack.gather_sources(images) if paired else None
    return pack.gather_sources(sources), pack.gather(images) if paired else None


def _rows(wanted: Order, instead: Order, most: int | None) -> Order:
    return (wanted if len(wanted) else instead)[:most]


def _corrupted(corruption: Corruption, images: Images) -> Images:
    """The same sources every time, uint8 ``(n, h, w, c)``."""
    draws = torch.Generator().manual_seed(0)
    made: Images = corruption.corrupt(torch.from_numpy(images), draws).numpy()
    return made


def save_held_sources(pack: Pack, folder: Path, most: int = 64) -> Path:
    """Write the first held-out sources of ``pack`` into ``folder`` as PNG files, as somebody may have them; the folder.

    Raises DataError for a file that is there and is another picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for row, source in zip(
        pack.source_rows("held")[:most], pack.gather_sources(pack.source_rows("held")[:most]), strict=True
    ):
        path, data = folder / f"{row:06d}.png", encode_png(source)
        if path.exists() and path.read_bytes() != data:
            raise DataError(f"{path} is in the way, and is another picture: move it elsewhere")
        path.write_bytes(data)
    return folder
