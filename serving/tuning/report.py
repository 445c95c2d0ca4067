"""What a search found: as a table, as JSON, and as a picture of latency over load."""

import json
import math
import platform
import statistics
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnxruntime
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from core.files import new_file, write_atomic
from core.ours import software
from serving.server.cores import usable_cores
from serving.server.locate import find_triton
from serving.tuning.command import Tuned
from serving.tuning.grid import Setting
from serving.tuning.load import Point
from serving.tuning.search import Curve, Found, Repeats, ranked

DRAWN = 4  # curves in the picture: more could not be told apart
_PRESENT, _CHOSEN, _NONE = "•", "→", "–"
_HEADERS = (
    *("inst. x\nthreads", "delay\nms", "batch\n", "knee\nreq./s", "images\n/s", "half\np50", "half\np99"),
    *("knee\np50", "knee\np99", "idle\np50", "images\n/run", "reje-\ncted"),
)
# Okabe and Ito 2008: distinct for the colour-blind too.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73")


def table(found: Found) -> RenderableType:
    """A row for each setting, the best first; what could not be served last."""
    rows = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    rows.add_column("")
    for header in _HEADERS:
        rows.add_column(header, justify="right", no_wrap=True)

    for curve in ranked(found.curves):
        mark = _mark(curve.setting, found)
        rows.add_row(mark, *_cells(curve), style="bold" if _CHOSEN in mark else "")

    faults = [f"{each.setting} was not served: {each.fault}" for each in found.curves if each.fault]
    said = [
        f"{_PRESENT} as it is, {_CHOSEN} chosen. Latencies in ms.",
        f"Knee: the highest rate whose p99 stays within {found.limit_ms:.0f} ms; half: half of it.",
    ]
    return Group(rows, Text("\n".join([*said, *faults]), "dim"))


def verdict(tuned: Tuned) -> str:
    """What became of it, in a few lines: before, after, and by how much it is better."""
    found = tuned.found
    if found.chosen == found.present:
        return f"as it is, {found.present}, is as good as any: nothing was written"

    by = {each.setting: each for each in found.repeats}
    lines = [
        f"{mark}: {setting}{_repeated(by.get(setting))}"
        for mark, setting in (("before", found.present), ("after", found.chosen))
    ]

    if found.chosen.max_batch < found.present.max_batch:
        lines.append(f"a request for more than {found.chosen.max_batch} images will be refused")
    lines.append(f"written: {', '.join(tuned.written)}" if tuned.written else "nothing was written, as --dry-run says")
    return "\n".join(lines)


def save(tuned: Tuned, model: str, picture: Path, data: Path | None) -> list[Path]:
    """Write the picture, and everything that was measured as JSON where ``data`` says so: the files."""
    plot(tuned.found, model, picture)
    if data:
        write_atomic(data, json.dumps(to_json(tuned, model), indent=2) + "\n")
    return [picture, *([data] if data else [])]


def to_json(tuned: Tuned, model: str) -> dict[str, Any]:
    """Everything that was measured; null for a latency that never ended."""
    found = tuned.found

    return {
        "software": software(),
        "model": model,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": usable_cores()},
        "onnxruntime": onnxruntime.__version__,
        "tritonserver": find_triton().version,
        "p99_limit_ms": found.limit_ms,
        "present": asdict(found.present),
        "chosen": asdict(found.chosen),
        "curves": [_finite(asdict(curve)) for curve in found.curves],
        "repeats": [_finite(asdict(each)) for each in found.repeats],
        "written": tuned.written,
    }


def plot(found: Found, model: str, path: Path) -> None:
    """The best few settings, and the present one: p50 and p99 over requests a second, the knee of each marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for colour, curve in zip(_COLOURS, _drawn(found), strict=False):
        _draw(axes, curve, f"{curve.setting} {_mark(curve.setting, found)}", colour)
    axes.axhline(found.limit_ms, color="grey", linewidth=1, linestyle=":")
    where: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "bottom", "color": "grey"}
    axes.annotate(f"limit of the p99: {found.limit_ms:.0f} ms", (0.005, found.limit_ms), **where)
    axes.set_yscale("log", subs=(2, 5))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_xlim(left=0)
    axes.set_xlabel("requests offered a second")
    axes.set_ylabel("latency from the moment a request was due, ms")
    axes.set_title(f"{model}: p99 solid, p50 dashed, the knee a dot; {_PRESENT} as it is, {_CHOSEN} chosen", loc="left")
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside lower left", ncols=2, frameon=False)
    with new_file(path) as file:
        figure.savefig(file, format="png", metadata={"Software": software()})


def _draw(axes: Any, curve: Curve, name: str, colour: str) -> None:
    """Both percentiles as lines. What never ended is not drawn: the p99 line ends where requests are lost."""
    points = _best_of_each_rate(curve.points)
    rates = [each.offered for each in points]
    for latencies, dashes, label in (
        ([each.p99_ms for each in points], "-", name),
        ([each.p50_ms for each in points], "--", None),
    ):
        shown = [each if math.isfinite(each) else math.nan for each in latencies]
        axes.plot(rates, shown, dashes, color=colour, label=label, linewidth=1.5)
    if curve.knee:
        axes.plot(curve.knee.offered, curve.knee.p99_ms, "o", color=colour, markersize=9)


def _drawn(found: Found) -> list[Curve]:
    """The present setting, and the best of the others."""
    others = [curve for curve in ranked(found.curves) if curve.setting != found.present and curve.knee]
    return [found.curve(found.present), *others[: DRAWN - 1]]


def _best_of_each_rate(points: Iterable[Point]) -> list[Point]:
    best: dict[float, Point] = {}
    for each in sorted(points, key=lambda each: (each.offered, -each.p99_ms)):
        best[each.offered] = each
    return list(best.values())


def _mark(setting: Setting, found: Found) -> str:
    return _PRESENT * (setting == found.present) + _CHOSEN * (setting == found.chosen)


def _repeated(repeats: Repeats | None) -> str:
    if repeats is None:
        return ""
    goodput, unloaded = statistics.median(repeats.goodputs), statistics.median(repeats.unloaded_ms)
    return f": {goodput:.0f} requests/s within the limit, {unloaded:.1f} ms unloaded"


def _cells(curve: Curve) -> list[str]:
    setting, knee, half = curve.setting, curve.knee, curve.half
    preferred = f"{', '.join(map(str, setting.preferred))} of " if setting.preferred else ""
    how = [
        f"{setting.instances} x {setting.threads}",
        f"{setting.delay_us / 1000:g}",
        f"{preferred}{setting.max_batch}",
    ]

    rejected = str(sum(each.rejected for each in curve.points))
    if knee is None or half is None:
        return [*how, *[_NONE] * 6, _number(curve.unloaded_ms), _NONE, rejected]

    latencies = (half.p50_ms, half.p99_ms, knee.p50_ms, knee.p99_ms, curve.unloaded_ms)
    rates = (f"{knee.offered:.0f}", f"{knee.goodput * knee.images:.0f}")
    return [*how, *rates, *map(_number, latencies), _number(knee.images_per_run), rejected]


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return _NONE
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _finite(value: Any) -> Any:
    """The same, JSON having no infinity."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
