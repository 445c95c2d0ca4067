"""Pictures of a pack as files, as somebody may have them."""

from pathlib import Path

from core.errors import DataError
from core.images import encode_png
from trainer.data.pack import Pack


def save_held_sources(pack: Pack, folder: Path, most: int = 64) -> Path:
    """Write the first held-out sources of ``pack`` into ``folder`` as PNG files; gives the folder.

    Raises DataError for a file that is there and is another picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = pack.source_rows("held")[:most]
    for row, source in zip(rows, pack.gather_sources(rows), strict=True):
        path, data = folder / f"{row:06d}.png", encode_png(source)
        if path.exists() and path.read_bytes() != data:
            raise DataError(f"{path} is in the way, and is another picture: move it elsewhere")
        path.write_bytes(data)
    return folder
