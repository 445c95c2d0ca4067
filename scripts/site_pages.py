"""For MkDocs: pages and files outside docs/ that its pages link to are a part of the site, under their own paths."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/RESULTS.md", "model_repository/README.md",
           "deploy/README.md", "deploy/monitoring/*", "deploy/sprites/*", "examples/*/README.md")  # fmt: skip


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside docs/."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links between docs/ and the rest into links inside the site, where docs/ is the top."""
    if page.file.generated_by:  # from outside: ../docs/serve.md is ../serve.md, docs/sheet.png is sheet.png
        return re.sub(r"(\]\((?:\.\./)*)docs/", r"\1", markdown)
    return markdown.replace("](../", "](")
