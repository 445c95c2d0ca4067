"""Bulk sampling by two workers that are killed at random and started again, against the same work undisturbed.

    .venv/bin/python benchmarks/bulk.py --bundle exports/dcgan64 [--count 100000] [--shards 64] [--seed 0]

A worker is a process of the command for each of its shards. In the disturbed run every second start or so is ended
with SIGKILL, at a moment up to the time that a shard takes. Wanted: every seed present once, and the same bytes.
"""

import argparse
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.serving import describe_machine
from core.files import sha256
from serving.publishing import publish
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2
KILLED = 0.5  # of all starts


@dataclass
class Work:
    """What the workers are to make, and where."""

    url: str
    out: Path
    count: int
    shards: int

    def start(self, shard: int) -> "subprocess.Popen[bytes]":
        seeds, which = f"0-{self.count - 1}", f"{shard}/{self.shards}"
        command = [sys.executable, ROOT / "cli.py", "sample", "benchmark", "--seeds", seeds, "--shard", which]
        return subprocess.Popen([*map(str, command), "--out", self.out, "--url", self.url], stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="what to serve")
    parser.add_argument("--count", type=int, default=100_000, help="of seeds")
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    options = parser.parse_args()
    describe_machine(options.bundle)
    with tempfile.TemporaryDirectory() as folder:
        repository, calm, disturbed = (Path(folder) / name for name in ("repository", "calm", "disturbed"))
        publish(options.bundle, "benchmark", repository, trial=False)
        with Supervisor(repository, free_ports()) as server:
            seconds, _ = run(Work(server.url, calm, options.count, options.shards))
            print(f"  undisturbed      {seconds:8.1f} s  {options.count / seconds:8.0f} images/s")
            a_shard = seconds / options.shards * WORKERS
            moments = random.Random(options.seed)
            longer, kills = run(Work(server.url, disturbed, options.count, options.shards), moments, a_shard)
        print(f"  {kills:4} kills       {longer:8.1f} s  {options.count / longer:8.0f} images/s")
        compare(calm, disturbed, options.count)


def run(work: Work, moments: random.Random | None = None, a_shard: float = 0.0) -> tuple[float, int]:
    """Seconds until all shards are finished, and how often a worker was killed."""
    start = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as workers:
        kills = sum(workers.map(lambda shard: finish(work, shard, moments, a_shard), range(work.shards)))
    return time.monotonic() - start, kills


def finish(work: Work, shard: int, moments: random.Random | None, a_shard: float) -> int:
    """Start a worker on a shard until one is left to finish it; how many were killed."""
    kills = 0
    while True:
        kill_after = moments.uniform(0, a_shard) if moments and moments.random() < KILLED else None
        with work.start(shard) as worker:
            try:
                if worker.wait(kill_after) != 0:
                    raise SystemExit(f"shard {shard} failed: see above")
                return kills
            except subprocess.TimeoutExpired:
                worker.kill()
                kills += 1


def compare(calm: Path, disturbed: Path, count: int) -> None:
    """Print what was wanted, and end with status 1 if it is not so."""
    seeds = Counter(int(Path(name).stem) for tar in disturbed.glob("*.tar") for name in names_in(tar))
    once = seeds == Counter(range(count))
    print(f"  seeds present once: {sum(each == 1 for each in seeds.values()):,} of {count:,} (wanted: all)")
    ours, theirs = ({path.name: sha256(path) for path in folder.iterdir()} for folder in (calm, disturbed))
    same = sum(theirs.get(name) == digest for name, digest in ours.items())
    print(f"  files with equal bytes: {same} of {len(ours)}, {len(theirs) - same} others (wanted: all, 0)")
    sys.exit(0 if once and ours == theirs else 1)


def names_in(tar: Path) -> list[str]:
    with tarfile.open(tar) as opened:
        return opened.getnames()


if __name__ == "__main__":
    main()
