"""Unreal's Paper2D: ``.paper2dsprites``, TexturePacker's hash, a file a page."""

import re

from core.errors import AssetError
from serving.assets.atlas.model import Atlas
from serving.assets.atlas.writers import json_hash

_NOT_IN_ASSETS = re.compile(r"""["' ,/.:|&!~@#(){}\[\]=;^%$`\\<>*?+-]""")


def render(atlas: Atlas) -> dict[str, str]:
    """The files by name. Raises AssetError for names that are one asset: Unreal tells neither case nor signs apart."""
    seen: dict[str, str] = {}
    for frame in atlas.frames:
        other = seen.setdefault(_NOT_IN_ASSETS.sub("_", frame.name).casefold(), frame.name)
        if other != frame.name:
            raise AssetError(f"{other!r} and {frame.name!r} are one name to Unreal: rename one")
    return {name.removesuffix(".json") + ".paper2dsprites": said for name, said in json_hash.render(atlas).items()}
