"""What an export found, as a typed record: what ``verification`` in a bundle's manifest holds as JSON. Torch-free.

Every key of that JSON is written here and nowhere else. Its version is the manifest's ``format_version``, which
``Manifest.from_json`` checks; keys that came later are optional, so that older bundles stay readable.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from core.bundle import Manifest
from core.difference import MOST_LEVELS, Difference, VisibleDifference
from core.errors import BundleError, ExportError
from export.precisions.limits import Limits

PYTORCH, ORIGINAL = "PyTorch", "original"  # what a graph was compared with; the latter is a foreign file itself

Record = TypeVar("Record")

_TRUE_HALVES = "_in_true_halves"  # behind the name of a set of inputs: with every half rounded
_SETS = ("probe", "stretched", "golden")  # of inputs that precisions are compared on


@dataclass(frozen=True)
class Agreement:
    """How far ONNX Runtime's images are from those of the ``reference``, at each batch size, and from each other."""

    reference: str
    by_batch: dict[int, Difference]
    row_alone: Difference  # an image alone against the same image in a batch
    providers: tuple[str, ...] = ()
    two_runs_identical: bool = True
    most_levels_allowed: int = MOST_LEVELS

    def to_json(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "most_levels_allowed": self.most_levels_allowed,
            _against(self.reference): {str(batch): asdict(found) for batch, found in self.by_batch.items()},
            "row_alone_against_row_in_batch": asdict(self.row_alone),
            "two_runs_identical": self.two_runs_identical,
            "onnxruntime_providers": list(self.providers),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Agreement":
        """The record in ``values``."""
        reference = next(name for name in (PYTORCH, ORIGINAL) if _against(name) in values)
        return cls(
            reference,
            {int(batch): _figures(Difference, found) for batch, found in values[_against(reference)].items()},
            _figures(Difference, values["row_alone_against_row_in_batch"]),
            tuple(values.get("onnxruntime_providers", ())),
            values.get("two_runs_identical", True),
            values.get("most_levels_allowed", MOST_LEVELS),
        )


def _against(reference: str) -> str:
    return f"onnxruntime_against_{reference.lower()}_by_batch"


@dataclass(frozen=True)
class PrecisionReport:
    """A generator in another precision: why it ``failed`` its gate, None where it was written, and the gate's figures.

    ``differences`` are from the fp32 graph's images on each set of inputs, as ONNX Runtime makes them;
    ``in_true_halves`` with every half rounded. ``largest_value`` is the largest of any tensor on the way, ``bytes`` is
    the size of the file.
    """

    experimental: bool
    failed: str | None = None
    limits: Limits | None = None
    differences: dict[str, VisibleDifference] = field(default_factory=dict)
    in_true_halves: dict[str, VisibleDifference] = field(default_factory=dict)
    largest_value: float | None = None
    kid: float | None = None
    kid_of_fp32: float | None = None
    bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as JSON; what was not measured is left out."""
        values: dict[str, Any] = {
            "written": self.bytes is not None,
            "failed": self.failed,
            "experimental": self.experimental,
        }
        if self.limits is not None:
            values["limits"] = asdict(self.limits)

        for name, difference in self.differences.items():
            values[name] = asdict(difference)
            if name in self.in_true_halves:
                values[name + _TRUE_HALVES] = asdict(self.in_true_halves[name])
            if self.largest_value is not None:
                values["largest_value"] = self.largest_value

        measured = {"kid": self.kid, "kid_of_fp32": self.kid_of_fp32, "bytes": self.bytes}
        return values | {name: value for name, value in measured.items() if value is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PrecisionReport":
        """The record in ``values``."""
        return cls(
            values["experimental"],
            values["failed"],
            _figures(Limits, values["limits"]) if "limits" in values else None,
            {name: _figures(VisibleDifference, found) for name, found in values.items() if name in _SETS},
            {
                name.removesuffix(_TRUE_HALVES): _figures(VisibleDifference, found)
                for name, found in values.items()
                if name.endswith(_TRUE_HALVES)
            },
            **{name: values.get(name) for name in ("largest_value", "kid", "kid_of_fp32", "bytes")},
        )


@dataclass(frozen=True)
class TargetReport:
    """What a target is given: a ``file`` of the bundle that fits its ``runtime``, as ``source`` documents that.

    Of a file of its own also what that gives and takes, and how many levels it is from the golden images.
    """

    file: str
    runtime: str
    source: str
    gives: str | None = None
    levels_from_golden: int | None = None
    takes: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as JSON; what is not known is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class EngineReport:
    """Which TensorRT built the engines, and the number of layers of each, by precision."""

    built_with: str
    engines: dict[str, int]


@dataclass(frozen=True)
class OriginalFile:
    """The file that a foreign bundle was made of: hashes, opset, the batch it was made for, and the range it gives.

    ``values_outside_the_range`` is the share of the golden images' values that the given range cuts off.
    """

    sha256: str
    weights_sha256: dict[str, str]
    opset: int
    batch: int | str  # "any" where it was made for none
    least_value: float
    largest_value: float
    values_outside_the_range: float


@dataclass(frozen=True)
class Verification:
    """All that an export found.

    ``original`` and ``not_checked`` are of a foreign file only. ``notes`` are lines for people; ``in_two_parts`` is the
    agreement of mapping and synthesis, one after the other; the reports are of what was asked for, by name.
    """

    agreement: Agreement
    original: OriginalFile | None = None
    not_checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    in_two_parts: Agreement | None = None
    targets: dict[str, TargetReport] = field(default_factory=dict)
    precisions: dict[str, PrecisionReport] = field(default_factory=dict)
    tensorrt: EngineReport | None = None

    def failures(self) -> list[str]:
        """What was not written and why, one line for each precision."""
        reports = self.precisions.items()
        return [f"{name} was not written: {report.failed}" for name, report in reports if report.failed]

    def check_precisions(self, bundle: Path) -> None:
        """Raise ExportError, once all else is written into ``bundle``, for precisions that were not."""
        if failed := self.failures():
            raise ExportError(f"{'; '.join(failed)} (all else is in {bundle})")

    def to_json(self) -> dict[str, Any]:
        """The record as JSON, for the manifest's ``verification``; what there is not is left out."""
        values = self.agreement.to_json()

        # Of a foreign file
        if self.original is not None:
            values |= {"original": asdict(self.original), "not_checked": list(self.not_checked)}
        if self.notes or self.original is not None:
            values["notes"] = list(self.notes)

        # What was made besides
        if self.in_two_parts is not None:
            values["in_two_parts"] = self.in_two_parts.to_json()
        if self.targets:
            values["targets"] = {name: report.to_json() for name, report in self.targets.items()}
        if self.precisions:
            values["precisions"] = {name: report.to_json() for name, report in self.precisions.items()}
        if self.tensorrt is not None:
            values["tensorrt"] = asdict(self.tensorrt)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Verification":
        """The record in ``values``. Raises BundleError where they are none."""
        try:
            return cls(
                Agreement.from_json(values),
                OriginalFile(**values["original"]) if "original" in values else None,
                tuple(values.get("not_checked", ())),
                tuple(values.get("notes", ())),
                Agreement.from_json(values["in_two_parts"]) if "in_two_parts" in values else None,
                {name: TargetReport(**found) for name, found in values.get("targets", {}).items()},
                {name: PrecisionReport.from_json(found) for name, found in values.get("precisions", {}).items()},
                EngineReport(**values["tensorrt"]) if "tensorrt" in values else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            reason = f"{type(error).__name__}: {error}"
            raise BundleError(f"the manifest's verification is malformed ({reason}): export again") from None

    @classmethod
    def of(cls, manifest: Manifest) -> "Verification":
        """What the export of a bundle found. Raises BundleError where its manifest does not say."""
        return cls.from_json(manifest.verification)


def recorded_targets(manifest: Manifest) -> Any:
    """What a bundle says of the targets that it was checked for, as it is: whoever checks again trusts none of it."""
    return manifest.verification.get("targets", {})


def _figures(kind: Callable[..., Record], values: Mapping[str, Any]) -> Record:
    """A record of numbers. Raises TypeError for anything else."""
    if not all(value is None or isinstance(value, int | float) for value in values.values()):
        raise TypeError("a figure is not a number")
    return kind(**values)
