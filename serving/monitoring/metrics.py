"""Triton's metrics as numbers: what one text of them says, and what happened between two.

Names and units are those of NVIDIA's documentation (``docs/user_guide/metrics.md`` of the server). Durations are sums
over the requests that succeeded. ``rejected`` are requests that waited in the queue for longer than its policy allows.
A request that a full queue turns away is in no metric at all (tried with 2.51; newer servers document no other).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from core.errors import ServingError

_COUNTERS = {
    "nv_inference_request_success": "successes",
    "nv_inference_count": "images",
    "nv_inference_exec_count": "executions",
    "nv_inference_request_duration_us": "request_us",
    "nv_inference_queue_duration_us": "queue_us",
    "nv_inference_compute_input_duration_us": "compute_input_us",
    "nv_inference_compute_infer_duration_us": "compute_infer_us",
    "nv_inference_compute_output_duration_us": "compute_output_us",
}
_FAILURE = "nv_inference_request_failure"
_REASONS = {"REJECTED": "rejected", "CANCELED": "cancelled", "BACKEND": "failed_in_backend"}
_PENDING = "nv_inference_pending_request_count"
_SUMMARY = "nv_inference_request_summary_us"
_QUANTILES = {"0.5": "p50_us", "0.99": "p99_us"}
_MACHINE = {
    "nv_cpu_utilization": "utilisation",
    "nv_cpu_memory_used_bytes": "memory_used_bytes",
    "nv_cpu_memory_total_bytes": "memory_total_bytes",
}
_GPU = {name.replace("nv_cpu", "nv_gpu"): field for name, field in _MACHINE.items()}


@dataclass(frozen=True)
class Counts:
    """What one version of a model has done since its server started it.

    ``images`` are rows of batches (of a mapping they are styles), ``executions`` are runs of the model. Durations are
    in microseconds; a request in a batch is charged for the whole run.
    """

    successes: float = 0
    rejected: float = 0
    cancelled: float = 0
    failed_in_backend: float = 0
    failed_otherwise: float = 0
    images: float = 0
    executions: float = 0
    request_us: float = 0
    queue_us: float = 0
    compute_input_us: float = 0
    compute_infer_us: float = 0
    compute_output_us: float = 0

    def since(self, before: "Counts") -> "Counts":
        """What was done after ``before``. If any counter went backwards, the server is another one: all of it."""
        old, new = astuple(before), astuple(self)
        if any(was > now for was, now in zip(old, new, strict=True)):
            return self
        return Counts(*(now - was for was, now in zip(old, new, strict=True)))


@dataclass(frozen=True)
class Model:
    """One version of a model at one moment; None is what its server does not say.

    ``pending`` requests wait for the model to run them, and ``queue_limit`` is how many may. The percentiles of the
    latency, in microseconds, are over the last minute.
    """

    name: str
    version: str
    counts: Counts
    pending: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    queue_limit: int | None = None


@dataclass(frozen=True)
class Device:
    """How busy the processors, or one GPU, are (0 to 1), and their memory; None where the server does not say."""

    utilisation: float | None = None
    memory_used_bytes: float | None = None
    memory_total_bytes: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """All that a server says at one moment, ``moment`` seconds on a monotonic clock.

    Models that belong together follow one another, the whole first. ``machine`` is everything on it, not only Triton.
    """

    moment: float
    models: tuple[Model, ...]
    machine: Device
    gpus: Mapping[str, Device]


@dataclass(frozen=True)
class ModelRates:
    """What a version of a model did in the time between two snapshots; None where it did nothing to take a mean of.

    The percentiles are over the last minute, ``pending`` is of the end. ``failed`` leaves the rejected out.
    """

    name: str
    version: str
    requests_per_second: float
    images_per_second: float
    images_per_execution: float | None
    mean_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    queue_ms: float | None
    compute_ms: float | None
    pending: float | None
    queue_limit: int | None
    failed_per_second: float
    rejected_per_second: float


@dataclass(frozen=True)
class Rates:
    """What a server did in ``seconds``."""

    seconds: float
    models: tuple[ModelRates, ...]
    machine: Device
    gpus: Mapping[str, Device]


def parse(text: str, moment: float) -> Snapshot:
    """What a server's ``/metrics`` says. Raises ServingError unless ``text`` is metrics of a Triton."""
    models: dict[tuple[str, str], dict[str, float]] = {}
    machine: dict[str, float] = {}
    gpus: dict[str, dict[str, float]] = {}
    for name, labels, value in _samples(text):
        if name in _MACHINE:
            machine[_MACHINE[name]] = value
        elif name in _GPU:
            gpus.setdefault(labels.get("gpu_uuid", ""), {})[_GPU[name]] = value
        elif field := _field(name, labels):
            # A model on several GPUs may be counted for each. Percentiles cannot be joined: the worst is shown.
            join = max if field in _QUANTILES.values() else float.__add__
            values = models.setdefault((labels.get("model", ""), labels.get("version", "")), {})
            values[field] = join(values.get(field, 0.0), value)
    found = (_model(name, version, values) for (name, version), values in models.items())
    in_order = sorted(found, key=lambda model: (model.name.split("_"), len(model.version), model.version))
    devices = {uuid: _device(values) for uuid, values in sorted(gpus.items())}
    return Snapshot(moment, tuple(in_order), _device(machine), devices)


def rates(before: Snapshot, after: Snapshot) -> Rates:
    """What happened between two snapshots of one server, the second being later.

    A model that is new, or whose server was started again meanwhile, did all that it has counted.
    """
    seconds = after.moment - before.moment
    known = {(model.name, model.version): model.counts for model in before.models}
    models = (
        _model_rates(model, model.counts.since(known.get((model.name, model.version), Counts())), seconds)
        for model in after.models
    )
    return Rates(seconds, tuple(models), after.machine, after.gpus)


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    try:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except ValueError:
        samples = []
    if not any(sample.name.startswith("nv_") for sample in samples):
        raise ServingError("these are not the metrics of a Triton")
    for sample in samples:
        if math.isfinite(sample.value):  # a percentile of no requests is not a number
            yield sample.name.removesuffix("_total"), sample.labels, float(sample.value)  # the parser adds _total


def _field(name: str, labels: Mapping[str, str]) -> str | None:
    """Where a sample of a model goes; None for what is of no interest."""
    if name == _FAILURE:
        return _REASONS.get(labels.get("reason", ""), "failed_otherwise")
    if name == _PENDING:
        return "pending"
    if name == _SUMMARY:
        return _QUANTILES.get(labels.get("quantile", ""))
    return _COUNTERS.get(name)


def _model(name: str, version: str, values: dict[str, float]) -> Model:
    gauges: dict[str, Any] = {field: values.pop(field, None) for field in ("pending", *_QUANTILES.values())}
    return Model(name, version, Counts(**values), **gauges)


def _device(values: dict[str, float]) -> Device:
    """Nothing is known of a device without memory: a server that has just started has not looked at it yet."""
    return Device(**values) if values.get("memory_total_bytes") else Device()


def _model_rates(model: Model, done: Counts, seconds: float) -> ModelRates:
    compute_us = done.compute_input_us + done.compute_infer_us + done.compute_output_us
    failed = done.cancelled + done.failed_in_backend + done.failed_otherwise

    return ModelRates(
        name=model.name,
        version=model.version,
        requests_per_second=done.successes / seconds,
        images_per_second=done.images / seconds,
        images_per_execution=_mean(done.images, done.executions),
        mean_ms=_ms(_mean(done.request_us, done.successes)),
        p50_ms=_ms(model.p50_us),
        p99_ms=_ms(model.p99_us),
        queue_ms=_ms(_mean(done.queue_us, done.successes)),
        compute_ms=_ms(_mean(compute_us, done.successes)),
        pending=model.pending,
        queue_limit=model.queue_limit,
        failed_per_second=failed / seconds,
        rejected_per_second=done.rejected / seconds,
    )


def _mean(total: float, count: float) -> float | None:
    return total / count if count else None


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1000
