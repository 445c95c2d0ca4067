"""Two styles of the same things, from two icon sets of npm: folders for ``data import --unpaired``, drawn by resvg.

    npm pack @iconify-json/fluent-emoji-flat @iconify-json/fluent-emoji      # MIT licence, by Microsoft
    python benchmarks/two_styles.py iconify-json-fluent-emoji-flat-*.tgz iconify-json-fluent-emoji-1*.tgz --out styles
    python cli.py data import styles/b data/styles --sources styles/a --unpaired --size 64 --held 10%
    python cli.py train data/styles --preset cyclegan-cpu --out runs/styles

Variants of one thing, such as skin tones, are left out, so that none is in both parts of a split. Every second thing of
the rest goes into one style only, so no pair of the two is ever seen: a is the flat one, b the shaded one.
"""

import argparse
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import resvg_py

_VARIANT = re.compile(r"-(light|medium-light|medium|medium-dark|dark)(-skin-tone)?$|skin|-medium|-dark$|-light$")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs=2, type=Path, help="What 'npm pack' made of two icon sets.")
    parser.add_argument("--out", type=Path, required=True, help="The folder for the folders a and b.")
    parser.add_argument("--size", type=int, default=128, help="Pixels of a side; importing makes them smaller.")
    parser.add_argument("--all", action="store_true", help="Draw every thing in both styles.")
    args = parser.parse_args()

    first, second = (icons_of(path) for path in args.sets)
    both = sorted(name for name in first["icons"].keys() & second["icons"].keys() if not _VARIANT.search(name))
    for folder, icons, remainder in (("a", first, 0), ("b", second, 1)):
        names = [name for index, name in enumerate(both) if args.all or index % 2 == remainder]
        place = args.out / folder
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            (place / f"{name}.png").write_bytes(drawn(icons, name, args.size))
        print(f"{len(names)} of {len(both)} things in {place}")


def icons_of(package: Path) -> dict[str, Any]:
    """The icon set in an npm package, in Iconify's JSON format: SVG bodies by name, and the size they are drawn in."""
    with tarfile.open(package) as archive:
        member = archive.extractfile("package/icons.json")
        assert member is not None
        found: dict[str, Any] = json.load(member)
    return found


def drawn(icons: dict[str, Any], name: str, side: int) -> bytes:
    """A PNG file of one icon, ``side`` pixels high and wide."""
    icon = icons["icons"][name]
    width, height = (icon.get(key, icons.get(key, 16)) for key in ("width", "height"))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True))


if __name__ == "__main__":
    main()
