"""docs/presets.md: its table of what each preset costs and makes, and the small pictures in it.

    python benchmarks/preset_table.py

The figures are those of ``trainer/presets/about.py``, the pictures are cut from sheets that stand in docs/ already.
"""

import re
from pathlib import Path

from PIL import Image

from trainer.presets import PRESETS
from trainer.presets.about import ABOUT, JOBS

DOCS = Path(__file__).resolve().parents[1] / "docs"
TABLE = re.compile(r"^\| preset \|.*?(?=^\n)", re.MULTILINE | re.DOTALL)
HEAD = """\
| preset | good for | paper | size | kimg | minutes on two cores | images/s on an H100 | KID-lite0 | pictures |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
# Left, top, right and bottom in pixels: two rows of four pictures, or two rows of source, result and target.
DIGITS, PAIRS = (0, 0, 224, 112), (9, 50, 221, 190)
CUT = {
    "dcgan-cpu": ("gallery/dcgan-cpu-emoji.png", (0, 0, 256, 128)),
    "r3gan-cpu": ("families.png", (0, 0, 256, 128)),
    "stylegan-lite-cpu": ("families.png", (544, 0, 800, 128)),
    **{name: (f"gallery/{name}.png", PAIRS) for name in ("colourise-cpu", "denoise-cpu", "pix2pix-cpu", "upscale-cpu")},
    **{name: (f"gallery/{name}.png", DIGITS) for name in ABOUT if (DOCS / f"gallery/{name}.png").exists()
       and not name.endswith("-cpu")},
}  # fmt: skip


def main() -> None:
    page, pictures = DOCS / "presets.md", DOCS / "presets"
    pictures.mkdir(exist_ok=True)
    for name, (sheet, box) in CUT.items():
        whole = Image.open(DOCS / sheet).convert("RGBA")
        on_white = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
        on_white.convert("RGB").crop(box).save(pictures / f"{name}.png", optimize=True)
    page.write_text(TABLE.sub(table(), page.read_text(encoding="utf-8")), encoding="utf-8")


def table() -> str:
    """All presets, by what a person wants; what nobody measured is left empty."""
    rows = []
    for job, names in JOBS.items():
        rows.append(f"| **{job}** |" + " |" * 8)
        rows.extend(row(name) for name in names)
    return HEAD + "\n".join(rows) + "\n"


def row(name: str) -> str:
    about = ABOUT[name]
    minutes = "" if about.minutes is None else f"{about.minutes:g}"
    rate = "" if about.gpu is None else f"{about.gpu:,}"
    kid = "" if about.kid is None else f"{about.kid:.3f}"
    picture = f"![{name}](presets/{name}.png)" if name in CUT else ""
    cells = (f"`{name}`", about.good_for, about.paper, about.size, f"{PRESETS[name]().kimg:g}", minutes, rate, kid)
    return f"| {' | '.join((*cells, picture))} |"


if __name__ == "__main__":
    main()
