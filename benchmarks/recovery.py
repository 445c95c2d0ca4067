"""Seconds from killing the backend's stub until correct images come again, while a client asks one by one.

    .venv/bin/python benchmarks/recovery.py --bundle exports/dcgan64 [--times 10]

Wanted: under 5 seconds, every time.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.serving import describe_machine
from core.bundle import GOLDEN, MOST_LEVELS, Golden, levels_apart
from core.errors import ServingError
from serving.launching import free_ports
from serving.publishing import publish
from serving.supervisor import Supervisor
from serving.wire import ask, connect

WANTED = 5.0
SECONDS_BETWEEN = 2.0  # of sampling before the next kill


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="what to serve")
    parser.add_argument("--times", type=int, default=10, help="how often to kill")
    options = parser.parse_args()
    describe_machine(options.bundle)
    golden = Golden.read(options.bundle / GOLDEN)
    with tempfile.TemporaryDirectory() as folder:
        publish(options.bundle, "benchmark", Path(folder))
        with Supervisor(Path(folder), free_ports()) as server:
            seconds = [recovery(server, golden) for _ in range(options.times)]
    print("  " + "  ".join(f"{each:.2f}" for each in seconds))
    figures = f"min {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s, max {max(seconds):.2f} s"
    good = sum(each < WANTED for each in seconds)
    print(f"  {figures}; {good} of {len(seconds)} under {WANTED:.0f} s (wanted: all)")


def recovery(server: Supervisor, golden: Golden) -> float:
    """Sample for a while, kill the stub, and go on sampling until an image comes and is right."""
    until = time.monotonic() + SECONDS_BETWEEN
    while time.monotonic() < until or server.server is None or not server.server.stubs:
        if not is_right(server.url, golden):
            raise SystemExit("an image was wrong, or none came, before anything was harmed")
    os.kill(next(iter(server.server.stubs)).pid, signal.SIGKILL)
    start = time.monotonic()
    while not is_right(server.url, golden):
        time.sleep(0.01)
    return time.monotonic() - start


def is_right(url: str, golden: Golden) -> bool:
    """Whether a new client is answered with the first golden image. A wrong image ends the benchmark."""
    inputs = {name: values[:1] for name, values in golden.inputs.items()}
    try:
        with connect(url) as client:
            images = ask(client, "benchmark", inputs, seconds=1).result()
    except ServingError:
        return False
    if levels_apart(images, golden.images[:1]) > MOST_LEVELS:
        raise SystemExit("a wrong image came back")
    return True


if __name__ == "__main__":
    main()
