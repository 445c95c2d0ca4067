"""TexturePacker's "JSON (Hash)": frames by name, a file a page."""

from serving.assets.atlas.model import Atlas
from serving.assets.atlas.writers.texture_json import entry, frames_on, meta, page_files, text


def render(atlas: Atlas) -> dict[str, str]:
    """The files by name."""
    return {
        name: text({"frames": {frame.name: entry(frame) for frame in frames_on(atlas, number)}, "meta": meta(page)})
        for number, (name, page) in enumerate(zip(page_files(atlas, ".json"), atlas.pages, strict=True))
    }
