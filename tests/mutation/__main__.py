"""Break one line at a time and see whether a test notices: ``scripts/mutate trainer/objective/losses.py``.

A mutant that survives is a test that is missing, unless it computes the same: those that do are listed, with why, in
equivalent/.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.running import ROOT, Touched, import_foreign, survives, touched_by

EQUIVALENT = Path(__file__).parent / "equivalent"


def main() -> int:
    options = parsed(sys.argv[1:])
    files = sorted({file for path in options.paths for file in python_files(ROOT / path)})
    broken = [mutant for file in files for mutant in mutants_of(file, ROOT)]
    listed = equivalent()
    unknown = {name for name in listed if name.split(" | ")[0] in {each.path for each in broken}}
    unknown -= {each.name for each in broken}
    broken = [mutant for mutant in broken if mutant.name not in listed]
    for name in sorted(unknown):
        print(f"equivalent/ names a mutant that is no more: {name}")
    if options.per_line:
        broken = list(some_of_each_line(broken, options.per_line, options.seed))
    if options.list:
        print("\n".join(f"{mutant.line}: {mutant.name}" for mutant in broken))
        return 0
    import_foreign()
    tests = options.tests or sorted({mirror(file) for file in files})
    touched = touched_by(tests, sorted({str(file.relative_to(ROOT).parts[0]) for file in files}))
    survivors = list(tell(broken, touched, options.jobs))
    print(f"{len(broken)} mutants of {len(files)} files were tried, {len(survivors)} survive")
    return 1 if survivors or unknown else 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__)
    parser.add_argument("paths", nargs="+", help="Files or folders to break.")
    parser.add_argument("--tests", action="append", help="What to run; by default the tests that mirror the folder.")
    parser.add_argument("--per-line", type=int, default=0, help="At most so many mutants of a line, drawn by --seed.")
    parser.add_argument("--seed", type=int, default=0, help="Which ones --per-line draws.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="How many mutants are tried at once.")
    parser.add_argument("--list", action="store_true", help="Only print the mutants.")
    return parser.parse_args(arguments)


def python_files(path: Path) -> list[Path]:
    """The Python files at ``path``, a file or a folder."""
    if not path.exists():
        raise SystemExit(f"error: there is no {path}")
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def mirror(file: Path) -> str:
    """The tests of the folder that mirrors the file's, or of the nearest folder above it that is mirrored."""
    folder = Path("tests") / file.relative_to(ROOT).parent
    while not (ROOT / folder).is_dir():
        folder = folder.parent
    return str(folder)


def some_of_each_line(mutants: Sequence[Mutant], most: int, seed: int) -> Iterator[Mutant]:
    """At most ``most`` mutants of each line."""
    lines: dict[tuple[str, int], list[Mutant]] = {}
    for mutant in mutants:
        lines.setdefault((mutant.path, mutant.line), []).append(mutant)
    for (path, line), found in lines.items():
        yield from random.Random(f"{seed} {path} {line}").sample(found, min(most, len(found)))


def equivalent() -> set[str]:
    """The names in equivalent/: lines with bars. Whatever stands between them says why."""
    lines = [line for file in EQUIVALENT.glob("*.txt") for line in file.read_text(encoding="utf-8").splitlines()]
    return {line.strip() for line in lines if " | " in line}


def tell(mutants: Sequence[Mutant], touched: Touched, jobs: int) -> Iterator[Mutant]:
    """Try each, print those that survive, and give them."""
    begun = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda mutant: outcome(mutant, touched), mutants)
        for count, (mutant, says) in enumerate(zip(mutants, results, strict=True), 1):
            if says:
                print(f"{mutant.line}: {mutant.name}   [{says}]", flush=True)
                yield mutant
            if count % 50 == 0:
                print(
                    f"  … {count} of {len(mutants)} after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True
                )


def outcome(mutant: Mutant, touched: Touched) -> str:
    """Empty for a mutant that a test notices."""
    tests = touched.of(mutant)
    if not tests:
        return "no test runs this line"
    seconds = sum(touched.seconds[test] for test in tests)
    return f"{len(tests)} tests pass" if survives(mutant, tests, seconds) else ""


if __name__ == "__main__":
    sys.exit(main())
