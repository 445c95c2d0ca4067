"""A new user's first hour with their own images, and what the terminal showed, as text: docs/first-hour.txt.

    python benchmarks/first_hour.py WORK docs/first-hour.txt --images SHEET --import "--size 32 --grid 32x32" --clone .
    python benchmarks/first_hour.py WORK docs/first-hour.txt --keep 3,17,20,41

The second is for when a person has looked at WORK/out/sheet.png, and chosen.
WORK is an empty folder. All happens in it, with paths relative to it, so that the text names nothing of this machine.
"""

import argparse
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALIKE = re.compile(r"^[\d,]+ of [\d,]+ images")  # the lines that training writes one after the other
SHOWN = 2  # of them, at the beginning and at the end


def main() -> None:
    """Walk the part of the hour that is asked for, and write it down."""
    arguments = parse()
    work, text = arguments.work.resolve(), arguments.text.resolve()
    if arguments.keep:
        steps = [f"sample runs/sprites --seeds {arguments.keep} --out kept --sheet kept/sheet.png"]
        write(text, text.read_text(encoding="utf-8") + record(steps, work))
        return
    work.mkdir(parents=True, exist_ok=True)
    (work / "art").mkdir()
    (work / "art" / arguments.images.name).symlink_to(arguments.images.resolve())
    write(text, set_up(arguments.clone, work) + record(steps_for(arguments), work))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="an empty folder, or that of the walk before")
    parser.add_argument("text", type=Path, help="the text file to write")
    parser.add_argument("--images", type=Path, help="a folder of images, or a sheet")
    parser.add_argument("--import", dest="importing", default="--size 32", help="options of 'data import'")
    parser.add_argument("--train", default="", help="options of 'train'")
    parser.add_argument("--evaluate", default="", help="options of 'evaluate'")
    parser.add_argument("--seeds", default="0-63", help="those to choose from")
    parser.add_argument("--clone", type=Path, help="also clone this repository, and set it up")
    parser.add_argument("--keep", help="the seeds that a person chose: the last step")
    arguments = parser.parse_args()
    if bool(arguments.keep) == bool(arguments.images):
        parser.error("give --images, or --keep once you have looked at the sheet")
    return arguments


def set_up(source: Path | None, work: Path) -> str:
    """From nothing to a program that runs. What pip says of its sources is of this machine, and left out."""
    if source is None:
        return ""
    cloned = run(["git", "clone", "--quiet", str(source.resolve()), "ganfoundry"], work, "git clone … ganfoundry")
    return cloned + run(["make", "--silent", "-C", "ganfoundry", "setup"], work, "make -C ganfoundry setup")


def steps_for(arguments: argparse.Namespace) -> list[str]:
    """The commands that README names for one's own images, up to the sheet that one chooses from."""
    return [
        f"data import art/{arguments.images.name} data/sprites {arguments.importing}",
        f"train data/sprites --out runs/sprites {arguments.train}".strip(),
        f"sample runs/sprites --seeds {arguments.seeds} --out out --sheet out/sheet.png",
        f"evaluate runs/sprites data/sprites {arguments.evaluate}".strip(),
    ]


def record(steps: list[str], work: Path) -> str:
    """What the terminal shows of commands of ``ganfoundry``, of the clone in ``work`` if there is one."""
    own = work / "ganfoundry" / ".venv" / "bin" / "ganfoundry"
    program = [str(own)] if own.exists() else [sys.executable, str(ROOT / "cli.py")]
    return "".join(run([*program, *shlex.split(step)], work, f"ganfoundry {step}") for step in steps)


def run(command: list[str], work: Path, shown: str) -> str:
    """The command as a person typed it, what it printed, and how long it took. Ends the walk where it fails."""
    print(f"$ {shown}", flush=True)
    start = time.monotonic()
    status, printed = execute(command, work)
    seconds = time.monotonic() - start
    if status:
        sys.exit(f"{printed}{shown}: status {status}")
    took = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
    return f"$ {shown}\n{shortened(printed)}[{took}]\n\n"


def execute(command: list[str], work: Path) -> tuple[int, str]:
    """The exit status of a command, and all that it printed."""
    done = subprocess.run(command, cwd=work, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def shortened(printed: str) -> str:
    """The lines of an output, without most of those that differ in figures alone."""
    lines = [line for line in printed.splitlines() if not line.startswith("WARNING: Location")]
    alike = [index for index, line in enumerate(lines) if ALIKE.match(line)]
    dropped = alike[SHOWN:-SHOWN]
    if dropped:
        lines[dropped[0]] = f"… {len(dropped)} more such lines"
    gone = set(dropped[1:])
    return "".join(f"{line.rstrip()}\n" for index, line in enumerate(lines) if index not in gone)


def write(path: Path, text: str) -> None:
    """Write the record, whole."""
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
