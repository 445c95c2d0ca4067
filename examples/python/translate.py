"""What a translator makes of a PNG file, over HTTP, with nothing but Python's own library.

python translate.py --url http://127.0.0.1:8000 painter lines.png coloured.png
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path


class TranslationError(Exception):
    """What went wrong, in one line."""


def translated(url: str, model: str, png: bytes, seconds: float = 60) -> bytes:
    """The PNG file that the translator ``model`` makes of the PNG file ``png``, which has the size that it takes."""
    if not url.startswith(("http://", "https://")):
        raise TranslationError(f"{url} is not a server's address: write http://127.0.0.1:8000")
    given = {"name": "base64", "datatype": "BYTES", "shape": [1, 1], "data": [base64.b64encode(png).decode()]}
    asked = json.dumps({"inputs": [given], "outputs": [{"name": "base64"}]}).encode()
    place = f"{url.rstrip('/')}/v2/models/{model}_png/infer"
    request = urllib.request.Request(place, asked, method="POST")  # noqa: S310 (looked at above)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            return base64.b64decode(json.load(answer)["outputs"][0]["data"][0])
    except urllib.error.HTTPError as error:
        raise TranslationError(said_in(error.read()) or f"the server answered {error.code}") from None
    except OSError:
        raise TranslationError(f"no server answers at {url}: start one with 'serve'") from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise TranslationError(f"{url} did not answer as a Triton server does") from None


def said_in(body: bytes) -> str:
    """The error in the JSON that a server refuses with; empty where it is something else."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""


def main() -> None:
    """Translate one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the name of a published translator, without the _png")
    parser.add_argument("picture", type=Path, help="a PNG file")
    parser.add_argument("file", type=Path, help="where the result goes")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the server's HTTP")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    options = parser.parse_args()
    try:
        if not options.overwrite and options.file.exists():
            raise TranslationError(f"{options.file} is there: choose another file, or give --overwrite")
        png = translated(options.url, options.model, options.picture.read_bytes())
        with options.file.open("wb" if options.overwrite else "xb") as file:
            file.write(png)
    except (TranslationError, OSError) as error:
        sys.exit(f"translate.py: {error}")


if __name__ == "__main__":
    main()
