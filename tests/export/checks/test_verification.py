"""What an export found: manifests as exports wrote them before there was a type, read and written byte for byte."""

import json
from pathlib import Path

import pytest

from core.bundle import Manifest
from core.difference import Difference, VisibleDifference
from core.errors import BundleError
from export.checks.verification import Agreement, PrecisionReport, TargetReport, Verification, recorded_targets
from export.precisions.limits import LIMITS

MANIFESTS = {path.stem: path for path in (Path(__file__).parent / "manifests").glob("*.json")}
SAME = Difference(0, 0.0)


def read(name: str) -> Manifest:
    return Manifest.from_json(MANIFESTS[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MANIFESTS)
def test_older_manifests_are_read_and_written_byte_for_byte(name):
    manifest = read(name)
    values = Verification.of(manifest).to_json()
    assert json.dumps(values) == json.dumps(manifest.verification)  # keys in their order


def test_what_a_run_s_manifest_says():
    found = Verification.of(read("everything"))
    assert found.agreement == Agreement(
        "PyTorch", dict.fromkeys((1, 2, 3, 8, 17), SAME), SAME, ("CPUExecutionProvider",)
    )
    assert found.in_two_parts == found.agreement
    assert (found.original, found.not_checked, found.notes, found.failures()) == (None, (), (), [])
    half, eighth = found.precisions["fp16"], found.precisions["int8"]
    assert half.differences["probe"] == VisibleDifference(0.0243, 1.0, 64.27)
    assert half.in_true_halves["golden"] == VisibleDifference(0.0339, 1.0, 62.83)
    assert (half.limits, half.largest_value, half.bytes, half.experimental) == (LIMITS["fp16"], 17.266, 58972, False)
    assert list(half.differences) == list(half.in_true_halves) == ["probe", "stretched", "golden"]
    assert (eighth.kid_of_fp32, eighth.in_true_halves, eighth.largest_value) == (103.9859693877551, {}, None)
    unity = found.targets["unity"]
    assert (unity.file, unity.levels_from_golden, unity.takes) == ("targets/unity/generator.onnx", 0, None)
    assert found.tensorrt.engines == {"fp32": 244, "fp16": 264}
    assert recorded_targets(read("everything")).keys() == found.targets.keys()
    assert recorded_targets(read("run")) == {}


def test_what_a_foreign_file_s_manifest_says():
    found = Verification.of(read("foreign"))
    assert found.agreement.reference == "original"
    assert (found.original.opset, found.original.batch, found.original.values_outside_the_range) == (17, "any", 0.0)
    assert len(found.not_checked) == 4
    assert found.to_json()["notes"] == []  # which a run's manifest leaves out


def test_a_precision_that_failed_says_why():
    found = Verification.of(read("truncation"))
    assert found.failures() == ["int8 was not written: its PSNR is 29.4 dB, 35 is the least"]
    assert not found.precisions["int8"].to_json()["written"]
    (note,) = found.notes
    assert note.startswith("truncation changes nothing")
    never_tried = PrecisionReport(False, "the weight w reaches 7e+04, and fp16 ends at 65,504")
    assert never_tried.to_json() == {"written": False, "failed": never_tried.failed, "experimental": False}
    assert PrecisionReport.from_json(never_tried.to_json()) == never_tried


def test_what_came_later_is_optional():
    """The first exports knew neither providers nor anything that is made on request."""
    first = {"levels": 1, "pixels": 0.25}
    values = {"onnxruntime_against_pytorch_by_batch": {"17": first}, "row_alone_against_row_in_batch": first}
    assert Verification.from_json(values) == Verification(
        Agreement("PyTorch", {17: Difference(1, 0.25)}, Difference(1, 0.25))
    )


def test_a_source_is_taken_by_a_translator_s_variant():
    taken = TargetReport("a.onnx", "Unity", "its page", "image", 1, "source")
    assert TargetReport(**taken.to_json()) == taken
    assert set(TargetReport("a.onnx", "Unity", "its page").to_json()) == {"file", "runtime", "source"}


@pytest.mark.parametrize(
    "changes",
    [
        {"onnxruntime_against_pytorch_by_batch": None},
        {"onnxruntime_against_pytorch_by_batch": {"one": {"levels": 0, "pixels": 0.0}}},
        {"row_alone_against_row_in_batch": {"levels": "0", "pixels": 0.0}},
        {"row_alone_against_row_in_batch": {"levels": 0}},
        {"row_alone_against_row_in_batch": [0, 0.0]},
        {"targets": ["web"]},
        {"targets": {"web": {"a": 1}}},
        {"precisions": {"fp16": {"probe": {"mean": 0.1}}}},
        {"tensorrt": {"built_with": "trt"}},
        {"original": {}},
        {"notes": 3},
    ],
)
def test_what_is_no_record_is_an_error_in_one_line(changes):
    values = {**read("run").verification, **changes}
    with pytest.raises(BundleError, match=r"verification is malformed .*: export again") as caught:
        Verification.from_json(values)
    assert "\n" not in str(caught.value)
    with pytest.raises(BundleError, match="verification is malformed"):
        Verification.from_json({})
