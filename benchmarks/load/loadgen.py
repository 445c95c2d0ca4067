"""MLCommons' LoadGen against the same server as our own open loop, at the same rates: do they see the same?

    .venv/bin/python benchmarks/load/loadgen.py --bundle exports/dcgan64 [--seconds 60] [--repeats 3]

Its Server scenario: requests of one image at random moments (Poisson), latency from the scheduled moment. LoadGen takes
a rejection for an answer, so errors are counted here. Rates are shares of the knee that our own loop finds.
"""

import importlib.util
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import grpc
import numpy as np

from benchmarks.load.common import find_knee, header, median, options_of, served, steady
from serving.tuning.load import Generator, Requests, point

SHARES = (0.5, 1.0)
NANOSECONDS = re.compile(r"^(50|99)\.00 percentile latency \(ns\)\s*:\s*(\d+)", re.MULTILINE)


def main() -> None:
    options = options_of(__doc__, seconds=60, repeats=3).parse_args()
    if importlib.util.find_spec("mlperf_loadgen") is None:
        raise SystemExit("mlcommons-loadgen is missing: pip install -c constraints.txt '.[load]'")
    header(options.bundle)
    with served(options.bundle) as one:
        requests = one.requests()
        with Generator(one.server.url) as generator:
            rate, limit_ms = find_knee(generator, requests, min(options.seconds, 10))
            print(f"knee: {rate:.0f} requests/s within {limit_ms:.0f} ms; medians of {options.repeats}", flush=True)
            for share in SHARES:
                ours, theirs = [], []
                for turn in range(options.repeats):
                    found = point(steady(generator, requests, share * rate, options.seconds, turn), limit_ms)
                    ours.append({"p50": found.p50_ms, "p99": found.p99_ms, "errors": found.failed + found.rejected})
                    theirs.append(loadgen(one.server.url, requests, share * rate, options.seconds, turn))
                print(f"  {share * rate:5.0f} requests/s   ours {said(median(ours))}   LoadGen {said(median(theirs))}")


def loadgen(url: str, requests: Requests, rate: float, seconds: float, seed: int) -> dict[str, float]:
    """One run of its Server scenario, its latencies in milliseconds, and errors as the client saw them."""
    import mlperf_loadgen as lg

    errors = [0]
    channel = grpc.insecure_channel(url, [("grpc.enable_http_proxy", 0)])
    infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    lock = threading.Lock()

    def issue(samples: list[Any]) -> None:
        for sample in samples:
            infer.future(requests.messages[sample.index]).add_done_callback(lambda call, id_=sample.id: done(call, id_))

    def done(call: Any, sample_id: int) -> None:
        if call.code() is not grpc.StatusCode.OK:
            with lock:
                errors[0] += 1
        lg.QuerySamplesComplete([lg.QuerySampleResponse(sample_id, 0, 0)])

    settings = lg.TestSettings()
    settings.scenario, settings.mode = lg.TestScenario.Server, lg.TestMode.PerformanceOnly
    settings.server_target_qps = rate
    settings.min_duration_ms = settings.max_duration_ms = round(seconds * 1000)
    settings.min_query_count = 1
    settings.schedule_rng_seed = settings.sample_index_rng_seed = settings.qsl_rng_seed = seed + 1
    with tempfile.TemporaryDirectory() as folder:
        logs = lg.LogSettings()
        logs.enable_trace = False
        logs.log_output.outdir = folder
        logs.log_output.copy_summary_to_stdout = False
        sut = lg.ConstructSUT(issue, lambda: None)
        count = len(requests.messages)
        library = lg.ConstructQSL(count, count, lambda _: None, lambda _: None)
        lg.StartTestWithLogSettings(sut, library, settings, logs)
        lg.DestroyQSL(library)
        lg.DestroySUT(sut)
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
    channel.close()
    nanoseconds = {f"p{share}": float(value) for share, value in NANOSECONDS.findall(summary)}
    assert np.isfinite(list(nanoseconds.values())).all() and len(nanoseconds) == 2, summary
    return {name: value / 1e6 for name, value in nanoseconds.items()} | {"errors": errors[0]}


def said(figures: dict[str, float]) -> str:
    return f"p50 {figures['p50']:7.2f} ms, p99 {figures['p99']:7.2f} ms, errors {figures['errors']:.0f}"


if __name__ == "__main__":
    main()
