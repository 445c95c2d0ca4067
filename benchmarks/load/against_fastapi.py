"""Against what a user would write instead: FastAPI around PyTorch eager, the same network, one after the other.

    .venv/bin/python benchmarks/load/against_fastapi.py --bundle exports/dcgan64 \\
        --generator runs/dcgan64/generator.safetensors [--seconds 60] [--repeats 3]

Sixteen clients at a time, each asking for one image as soon as it has the last, with a seed (JSON there, gRPC here);
and with a latent, here only. Wanted: at least 3.5 times the requests a second, and a p99 of at most a fifth.
"""

import http.client
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.common import MODEL, header, median, options_of, served, verdict
from serving.server.launch import HOST, free_ports
from serving.tuning.load import ANSWERED, Generator

ROOT = Path(__file__).resolve().parent.parent.parent
AT_ONCE = 16
TIMES, SHARE = 3.5, 0.2
NEEDED = ("fastapi", "uvicorn", "uvloop", "httptools", "torch")


def main() -> None:
    parser = options_of(__doc__, seconds=60, repeats=3)
    parser.add_argument("--generator", type=Path, required=True, help="the weights that the bundle was exported from")
    options = parser.parse_args()
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise SystemExit(f"{', '.join(missing)} missing: pip install -c constraints.txt '.[train,load]'")
    header(options.bundle)
    print(", ".join(f"{name} {version(name)}" for name in NEEDED))
    theirs, ours = [], []
    for _ in range(options.repeats):
        theirs.append(through_fastapi(options.generator, options.seconds))
        ours.append(through_triton(options.bundle, options.seconds))
        print(f"  FastAPI {said(theirs[-1])}\n  Triton  {said(ours[-1])}", flush=True)
    report(median(theirs), median(ours))


def through_fastapi(generator: Path, seconds: float) -> dict[str, float]:
    """One uvicorn with the fastest loop and parser it has, PyTorch with as many threads as it takes by itself."""
    port = free_ports().http
    command = [sys.executable, "-m", "uvicorn", "benchmarks.load.fastapi_app:app", "--host", HOST, "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"GENERATOR": str(generator.resolve())}) as server:
        try:
            wait_until_there(port, server)
            closed_loop(port, min(seconds, 2))
            return closed_loop(port, seconds)
        finally:
            server.terminate()


def wait_until_there(port: int, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        try:
            http.client.HTTPConnection(HOST, port).connect()
            return
        except OSError:
            time.sleep(0.1)
        if server.poll() is not None:
            break
    raise SystemExit("the FastAPI server did not start")


def closed_loop(port: int, seconds: float) -> dict[str, float]:
    """Clients that keep their connection, a thread each."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(HOST, port)
        while (start := time.perf_counter()) < until:
            body = json.dumps({"seed": number})
            connection.request("POST", "/image", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert len(answer.read()) and answer.status == 200
            latencies.append(time.perf_counter() - start)
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return figures("seed", np.array(latencies), seconds)


def through_triton(bundle: Path, seconds: float) -> dict[str, float]:
    found = {}
    with served(bundle, thin=True) as one, Generator(one.server.url) as generator:
        for name, model in (("seed", f"{MODEL}_from_seed"), ("latent", MODEL)):
            generator.saturate(one.requests(model), AT_ONCE, min(seconds, 2))
            load = generator.saturate(one.requests(model), AT_ONCE, seconds)
            assert load.count(ANSWERED) == len(load.due), load.errors
            found |= figures(name, load.latency, seconds)
    return found


def figures(name: str, latencies: NDArray[np.float64], seconds: float) -> dict[str, float]:
    p50, p99 = np.quantile(latencies, [0.5, 0.99]) * 1e3
    return {f"{name}, requests/s": len(latencies) / seconds, f"{name}, p50": float(p50), f"{name}, p99": float(p99)}


def said(found: dict[str, float]) -> str:
    return "; ".join(f"{name} {value:.1f}{'' if '/' in name else ' ms'}" for name, value in found.items())


def report(theirs: dict[str, float], ours: dict[str, float]) -> None:
    print(f"medians\n  FastAPI {said(theirs)}\n  Triton  {said(ours)}\n")
    for name in ("seed", "latent"):
        times = ours[f"{name}, requests/s"] / theirs["seed, requests/s"]
        verdict(f"with a {name}, requests/s", f"{times:.2f} x FastAPI's", f"at least {TIMES} x", times >= TIMES)
        share = ours[f"{name}, p99"] / theirs["seed, p99"]
        verdict(f"with a {name}, p99", f"{share:.2f} x FastAPI's", f"at most {SHARE} x", share <= SHARE)


if __name__ == "__main__":
    main()
