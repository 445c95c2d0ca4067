"""``top``: what a running server does, read from its metrics every few seconds and shown as a table."""

import http.client
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from core.errors import ServerUnavailable, ServingError
from serving.monitoring.metrics import Device, ModelRates, Rates, Snapshot, parse, rates

METRICS_URL = "http://localhost:8002/metrics"
HTTP_URL = "http://localhost:8000"
_SECONDS = 2.0  # for an answer: metrics are ready when asked for
_UNKNOWN = "–"
# Metrics are asked of the machine itself, whatever the environment says of proxies.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

Read = Callable[[], Snapshot]  # raises ServingError when there is nothing to read


class Reader:
    """Reads a Triton whose metrics are at ``metrics_url``. At ``http_url`` it says how long its queues may get.

    Unless given, the usual address is asked where ``metrics_url`` is the usual one too; otherwise it could be another
    server. Raises ServerUnavailable for anything that is not an address.
    """

    def __init__(self, metrics_url: str = METRICS_URL, http_url: str | None = None) -> None:
        for url, like in ((metrics_url, METRICS_URL), (http_url or HTTP_URL, HTTP_URL)):
            _check_address(url, like)
        self._metrics_url = metrics_url
        self._http_url = HTTP_URL if http_url is None and metrics_url == METRICS_URL else http_url
        self._limits: dict[tuple[str, str], int | None] = {}

    def read(self) -> Snapshot:
        """The server at this moment. Raises ServerUnavailable, or ServingError if something else answers."""
        try:
            text = _get(self._metrics_url)
        except (OSError, http.client.HTTPException) as error:
            self._limits.clear()  # a server that comes back may be configured otherwise
            raise ServerUnavailable(
                f"no server tells its metrics at {self._metrics_url} ({_reason(error)}): "
                "start one with 'serve', or give --metrics-url"
            ) from None

        try:
            snapshot = parse(text, time.monotonic())
        except ServingError:
            raise ServingError(f"{self._metrics_url} does not hold a Triton's metrics: give --metrics-url") from None

        limited = (replace(model, queue_limit=self._limit(model.name, model.version)) for model in snapshot.models)
        return replace(snapshot, models=tuple(limited))

    def _limit(self, name: str, version: str) -> int | None:
        """How many requests may wait for a model; None for any number, or if it is not known."""
        if self._http_url is None:
            return None
        if (name, version) not in self._limits:
            self._limits[name, version] = _queue_limit(
                f"{self._http_url.rstrip('/')}/v2/models/{name}/versions/{version}"
            )
        return self._limits[name, version]


def measure(read: Read, seconds: float) -> Rates:
    """What a server does in the next ``seconds``. Raises as ``read`` does."""
    before = read()
    time.sleep(seconds)
    return rates(before, read())


def watch(read: Read, seconds: float, console: Console) -> None:
    """Show what a server does, anew every ``seconds``, until Ctrl-C; the last table stays.

    A server that is not there, or goes away, is waited for.
    """
    before: Snapshot | None = None
    view: RenderableType = Text(f"measuring for {seconds:g} s …")

    try:
        with Live(view, console=console, screen=True, auto_refresh=False) as live:
            while True:
                try:
                    after = read()
                    view = table(rates(before, after)) if before else view
                    before = after
                except ServingError as error:
                    view, before = _lost(error, seconds), None
                live.update(view, refresh=True)
                time.sleep(seconds)
    except KeyboardInterrupt:
        console.print(view)


def table(found: Rates) -> RenderableType:
    """A row for each model, and a line about the machine."""
    if not found.models:
        return Text("the server has no models")

    percentiles = any(model.p50_ms is not None for model in found.models)
    rows = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    rows.add_column("model\n", overflow="fold")
    for header in _headers(percentiles):
        rows.add_column(header, justify="right", no_wrap=True)

    for model in found.models:
        rows.add_row(Text(f"{model.name}:{model.version}"), *_cells(model, percentiles))
    window = "p50 and p99: the last minute. All else: " if percentiles else ""
    said = f"{window}the last {found.seconds:.1f} s.\n'serve' asks each of its models for an image a second: it counts."
    return Group(_machine(found.machine, found.gpus), "", rows, "", Text(said, "dim"))


def _headers(percentiles: bool) -> list[str]:
    latency = ["p50\nms", "p99\nms"] if percentiles else ["mean\nms"]
    rates_of_all = ["requests\n/s", "images\n/s", "images\n/run"]
    return [*rates_of_all, *latency, "queue\nms", "compute\nms", "pending\n", "failed\n/s", "rejected\n/s"]


def _cells(model: ModelRates, percentiles: bool) -> list[Text]:
    did = (model.requests_per_second, model.images_per_second, model.images_per_execution)
    latency = (model.p50_ms, model.p99_ms) if percentiles else (model.mean_ms,)
    return [
        *map(_number, (*did, *latency, model.queue_ms, model.compute_ms)),
        _pending(model),
        *(_alarming(value) for value in (model.failed_per_second, model.rejected_per_second)),
    ]


def _pending(model: ModelRates) -> Text:
    if model.pending is None or model.queue_limit is None:
        return Text(_UNKNOWN if model.pending is None else f"{model.pending:.0f}")
    full = model.pending >= model.queue_limit
    return Text(f"{model.pending:.0f}/{model.queue_limit}{' full' if full else ''}", "bold red" if full else "")


def _number(value: float | None) -> Text:
    if value is None:
        return Text(_UNKNOWN, "dim")
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return Text(f"{value:.{digits}f}" if value else "0")


def _alarming(value: float) -> Text:
    text = _number(value)
    text.style = "bold red" if value else "dim"
    return text


def _machine(machine: Device, gpus: Mapping[str, Device]) -> Text:
    devices = {"CPU": machine} | {f"GPU {index}": gpu for index, gpu in enumerate(gpus.values())}
    return Text("   ".join(f"{name} {_device(device)}" for name, device in devices.items()))


def _device(device: Device) -> str:
    busy = _UNKNOWN if device.utilisation is None else f"{device.utilisation * 100:.0f} %"
    if device.memory_used_bytes is None or device.memory_total_bytes is None:
        return busy
    return f"{busy}, memory {device.memory_used_bytes / 2**30:.1f} of {device.memory_total_bytes / 2**30:.1f} GiB"


def _lost(error: ServingError, seconds: float) -> Text:
    return Text.assemble((f"{error}\n", "red"), (f"Looking again every {seconds:g} s; Ctrl-C ends.", "dim"))


def _queue_limit(model_url: str) -> int | None:
    try:
        policy = json.loads(_get(f"{model_url}/config"))["dynamic_batching"]["default_queue_policy"]
        return int(policy["max_queue_size"]) or None
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):  # or it is no configuration
        return None


def _get(url: str) -> str:
    with _open(url, timeout=_SECONDS) as answer:
        return str(answer.read().decode("utf-8", errors="replace"))


def _check_address(url: str, like: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ServerUnavailable(f"{url!r} is not an address: write it like {like}")


def _reason(error: Exception) -> str:
    """Why an address did not answer, in a few words."""
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "strerror", None) or cause) or type(error).__name__
