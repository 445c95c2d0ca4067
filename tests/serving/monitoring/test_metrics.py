"""Triton's metrics as numbers, held against what the same server says elsewhere."""

import math
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, astuple, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract import sample_inputs
from core.errors import ServerOverloaded, ServingError
from serving.client.sampler import Sampler
from serving.monitoring.metrics import Counts, Device, Model, Snapshot, parse, rates
from serving.protocol.grpc import connect, infer_async, infer_inputs
from serving.server.launch import HOST
from tests.serving.conftest import SPEC

COUNTS = st.builds(Counts, **{field.name: st.integers(0, 10**12) for field in fields(Counts)})


def look(port):
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
        return parse(answer.read().decode(), time.monotonic())


def look_until(port, holds):
    """The first look at which ``holds``: an answer may be here before it is counted."""
    limit = time.monotonic() + 30
    while not holds(found := look(port)):
        assert time.monotonic() < limit, "it was never counted"
        time.sleep(0.05)
    return found


def of(snapshot, name):
    """The newest version of a model."""
    *_, model = (model for model in snapshot.models if model.name == name)
    return model


def snapshot(moment, *models):
    return Snapshot(moment, models, Device(), {})


def statistics(server, name):
    """The counts of a model's newest version by Triton's other account of them, its statistics extension."""
    with connect(server.url) as client:
        found = client.get_inference_statistics(name, headers=server.access.headers).model_stats
    model = max(found, key=lambda each: int(each.version))  # they come in any order
    took = model.inference_stats
    times = {"request": took.success, "queue": took.queue}
    times |= {f"compute_{part}": getattr(took, f"compute_{part}") for part in ("input", "infer", "output")}
    counts = {"successes": took.success.count, "failures": took.fail.count}
    counts |= {"images": model.inference_count, "executions": model.execution_count}
    return counts | {f"{name}_us": each.ns / 1000 for name, each in times.items()}


def test_the_counts_are_those_of_the_statistics_extension(server):
    """Golden questions go on meanwhile, so each count lies between one look before and one after.

    Triton adds a request to one account and then, count by count, to the other, without its part of a microsecond.
    """

    def counts(found):
        metrics = asdict(of(found, "tiny").counts)
        reasons = ("rejected", "cancelled", "failed_in_backend", "failed_otherwise")
        return metrics | {"failures": sum(metrics[reason] for reason in reasons)}

    def caught_up(found):
        now = counts(found)
        return all(least - now["successes"] * name.endswith("_us") <= now[name] for name, least in before.items())

    before = statistics(server, "tiny")
    now = counts(look_until(server.ports.metrics, caught_up))
    after = statistics(server, "tiny")
    assert now["successes"] > 0
    assert all(now[name] <= most for name, most in after.items())


def test_the_server_says_everything_that_is_looked_for(server):
    found = look(server.ports.metrics)
    names = [f"{model.name}:{model.version}" for model in found.models]
    assert names == ["animals:1", "gathering:1", "tiny:1", "tiny:2"]
    for model in found.models:
        assert model.pending is not None
        assert 0 < model.p50_us <= model.p99_us
    assert found.machine.utilisation is not None
    assert 0 < found.machine.memory_used_bytes < found.machine.memory_total_bytes


def test_rates_are_of_what_was_asked(server):
    before = look(server.ports.metrics)
    with Sampler("tiny", server.url, batch=10) as sampler:
        assert len(list(sampler.sample(range(400)))) == 400
    images = of(before, "tiny").counts.images + 400
    after = look_until(server.ports.metrics, lambda found: of(found, "tiny").counts.images >= images)
    found = of(rates(before, after), "tiny")
    seconds = after.moment - before.moment
    golden = seconds + 2  # one a second, each one image
    assert 40 <= round(found.requests_per_second * seconds) <= 40 + golden
    assert 400 <= round(found.images_per_second * seconds) <= 400 + golden
    assert 1 < found.images_per_execution <= 16
    assert 0 < found.queue_ms + found.compute_ms <= found.mean_ms
    assert found.failed_per_second == found.rejected_per_second == 0


def test_who_waits_too_long_is_counted_as_rejected_and_whom_a_full_queue_turns_away_is_not_counted(limited_ports):
    """What ``top`` and docs/monitoring.md say of the bundled server; another may know better."""
    inputs = sample_inputs(SPEC, [0])
    start = of(look(limited_ports.metrics), "limited").counts
    with connect(f"{HOST}:{limited_ports.grpc}") as client:
        with pytest.raises(Exception, match="timeout expired"):
            client.infer("limited", infer_inputs(inputs), timeout=1000)
        late = look_until(limited_ports.metrics, lambda found: of(found, "limited").counts != start)
        answers = [infer_async(client, "limited", inputs) for _ in range(20)]
        kinds = Counter(type(answer.exception(30)) for answer in answers)
    assert set(kinds) == {type(None), ServerOverloaded}
    assert of(late, "limited").counts.since(start) == Counts(rejected=1)
    answered = start.successes + kinds[type(None)]
    end = look_until(limited_ports.metrics, lambda found: of(found, "limited").counts.successes == answered)
    after = of(end, "limited").counts.since(of(late, "limited").counts)
    assert after.rejected == after.cancelled == after.failed_in_backend == after.failed_otherwise == 0


def test_rates_by_hand():
    done = Counts(
        successes=20,
        rejected=4,
        cancelled=1,
        failed_in_backend=2,
        failed_otherwise=3,
        images=80,
        executions=10,
        request_us=100_000,
        queue_us=20_000,
        compute_input_us=2_000,
        compute_infer_us=60_000,
        compute_output_us=8_000,
    )
    before = Model("a", "1", Counts(*(2 for _ in fields(Counts))))
    after = Model("a", "1", Counts(*(2 + count for count in astuple(done))), pending=7, p50_us=4000, p99_us=9500)
    (found,) = rates(snapshot(10, before), snapshot(14, after)).models
    assert astuple(found) == ("a", "1", 5, 20, 8, 5, 4, 9.5, 1, 3.5, 7, None, 1.5, 1)


def test_a_model_that_did_nothing_has_rates_and_no_means():
    model = Model("a", "1", Counts(successes=5, images=5, executions=5))
    (found,) = rates(snapshot(0, model), snapshot(2, model)).models
    assert found.requests_per_second == found.images_per_second == found.failed_per_second == 0
    assert (found.images_per_execution, found.mean_ms, found.queue_ms, found.compute_ms) == (None,) * 4


@given(COUNTS, COUNTS, st.floats(0.1, 1000))
def test_rates_are_never_below_zero_whatever_was_started_again(before, after, seconds):
    (found,) = rates(snapshot(0, Model("a", "1", before)), snapshot(seconds, Model("a", "1", after))).models
    figures = [value for value in astuple(found) if isinstance(value, (int, float))]
    assert all(math.isfinite(value) and value >= 0 for value in figures)


def test_a_server_that_was_started_again_did_all_that_it_counts():
    """Its requests are more than before, but not its images: no counter of it says anything about the last server."""
    before, after = Counts(successes=3, images=192), Counts(successes=4, images=4)
    (found,) = rates(snapshot(0, Model("a", "1", before)), snapshot(2, Model("a", "1", after))).models
    assert (found.requests_per_second, found.images_per_second) == (2, 2)


def test_models_that_come_and_go():
    old, new = (Model("a", version, Counts(successes=8)) for version in ("1", "2"))
    (found,) = rates(snapshot(0, old), snapshot(2, new)).models
    assert (found.version, found.requests_per_second) == ("2", 4)


def test_models_that_belong_together_follow_one_another():
    names = ["cat_synthesis", "dog", "cat2", "cat", "cat_mapping", "cat-b"]
    versions = [(name, "1") for name in names] + [("dog", "10"), ("dog", "9")]
    text = "".join(f'nv_inference_count{{model="{name}",version="{version}"}} 1\n' for name, version in versions)
    found = [f"{model.name}:{model.version}" for model in parse(text, 0).models]
    assert found == [
        "cat:1",
        "cat_mapping:1",
        "cat_synthesis:1",
        "cat-b:1",
        "cat2:1",
        "dog:1",
        "dog:9",
        "dog:10",
    ]


# As NVIDIA documents it: there was no GPU to capture it on.
TWO_GPUS = """
# TYPE nv_inference_request_success counter
nv_inference_request_success{gpu_uuid="GPU-a",model="m",version="1"} 3
nv_inference_request_success{gpu_uuid="GPU-b",model="m",version="1"} 4
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="m",version="1"} 5
nv_inference_request_failure{model="m",reason="REJECTED",version="1"} 6
# TYPE nv_inference_request_summary_us summary
nv_inference_request_summary_us_count{gpu_uuid="GPU-a",model="m",version="1"} 3
nv_inference_request_summary_us{gpu_uuid="GPU-a",model="m",version="1",quantile="0.5"} 20
nv_inference_request_summary_us{gpu_uuid="GPU-b",model="m",version="1",quantile="0.5"} 30
nv_inference_request_summary_us{gpu_uuid="GPU-b",model="m",version="1",quantile="0.99"} Nan
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="GPU-a"} 0.5
nv_gpu_memory_used_bytes{gpu_uuid="GPU-a"} 1024
nv_gpu_memory_total_bytes{gpu_uuid="GPU-a"} 4096
nv_gpu_utilization{gpu_uuid="GPU-b"} 0
nv_gpu_memory_total_bytes{gpu_uuid="GPU-b"} 0
"""


def test_several_gpus_are_added_up_and_shown_each():
    found = parse(TWO_GPUS, 0)
    counts = Counts(successes=7, failed_otherwise=5, rejected=6)
    assert found.models == (Model("m", "1", counts, None, p50_us=30, p99_us=None),)
    assert found.gpus == {"GPU-a": Device(0.5, 1024, 4096), "GPU-b": Device()}


@pytest.mark.parametrize("text", ["", "<html>", "up 1\n", "nv_inference_count{", "404 page not found"])
def test_what_is_no_triton_is_said(text):
    with pytest.raises(ServingError, match="not the metrics of a Triton"):
        parse(text, 0)


@given(st.text('nv_{}="# \n.,1aTYPE'))
def test_nothing_else_is_raised_for_any_text(text):
    with suppress(ServingError):
        parse(text, 0)
