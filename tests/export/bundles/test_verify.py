"""A bundle that was touched, forged or broken is refused, in one line that names the file."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.bundle import CARD, GOLDEN, GRAPH, MANIFEST, SHEET, SUMS, read_manifest
from core.errors import BundleError, MissingDependency
from core.golden import Golden
from export.bundles.verify import verify_bundle
from tests.export.checks.test_rules import add_random, ask_for_more_than_memory, hold_a_sparse_weight, move_weights_out
from tests.export.conftest import forge, graph_of, reseal


def refusal(bundle) -> str:
    with pytest.raises(BundleError) as caught:
        verify_bundle(bundle)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_fresh_bundle_passes_with_figures(exported):
    findings = verify_bundle(exported)
    assert [finding.check for finding in findings] == [
        "files",
        "graph rules",
        "golden images",
        "alone and in a batch",
        "two runs",
    ]
    assert all(finding.figure for finding in findings)


@pytest.mark.parametrize("name", [GRAPH, GOLDEN, CARD, SHEET, MANIFEST])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_one_flipped_bit_names_the_file(bundle, name, where):
    data = bytearray((bundle / name).read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    (bundle / name).write_bytes(data)
    assert name in refusal(bundle)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_changed_byte_of_any_file_names_that_file(bundle, data):
    path = bundle / data.draw(st.sampled_from(sorted(path.name for path in bundle.iterdir())))
    kept = path.read_bytes()
    at, change = data.draw(st.integers(0, len(kept) - 1)), data.draw(st.integers(1, 255))
    try:
        path.write_bytes(kept[:at] + bytes([kept[at] ^ change]) + kept[at + 1 :])
        assert path.name in refusal(bundle)
    finally:
        path.write_bytes(kept)


def test_any_flipped_byte_of_the_manifest_is_found(bundle):
    data = (bundle / MANIFEST).read_bytes()
    for at in range(0, len(data), 7):
        (bundle / MANIFEST).write_bytes(data[:at] + bytes([data[at] ^ 7]) + data[at + 1 :])
        with pytest.raises(BundleError):
            read_manifest(bundle)


@pytest.mark.parametrize("name", [GRAPH, GOLDEN, CARD, SHEET, MANIFEST, SUMS])
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    assert name in refusal(bundle)


@pytest.mark.parametrize("name", [GRAPH, GOLDEN, MANIFEST])
def test_a_truncated_file_is_named(bundle, name):
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[: len(data) // 2])
    assert name in refusal(bundle)
    if name != MANIFEST:
        reseal(bundle)
        assert name in refusal(bundle)


def test_a_changed_spec_is_found_though_the_hashes_fit(bundle):
    spec = read_manifest(bundle).spec
    reseal(bundle, spec=spec.with_provenance(data_licence="mine"))
    assert GRAPH in (message := refusal(bundle))
    assert "spec" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint_sha256": "0" * 64},
        {"tools": {"torch": "1"}},
        {"judged": {"KID": 0.0}},
        {"seed_algorithm": "mine"},
    ],
)
def test_an_origin_that_is_not_the_graph_s_is_found_though_the_hashes_fit(bundle, changes):
    reseal(bundle, **changes)
    assert GRAPH in (message := refusal(bundle))
    assert "provenance" in message


def test_another_opset_in_the_manifest(bundle):
    reseal(bundle, opset=19)
    assert "opset" in refusal(bundle)


def test_swapped_golden_images_are_found_though_the_hashes_fit(bundle):
    golden = Golden.read(bundle / GOLDEN)
    (bundle / GOLDEN).write_bytes(Golden(golden.inputs, golden.images[::-1].copy()).to_bytes())
    reseal(bundle)
    assert GOLDEN in (message := refusal(bundle))
    assert "levels" in message


@pytest.mark.parametrize(
    "spoil",
    [
        lambda inputs: inputs.pop("truncation"),
        lambda inputs: inputs.update(z=inputs["z"][:, :-1]),
        lambda inputs: inputs.update(z=inputs["z"].astype(np.float64)),
        lambda inputs: inputs.update(extra=inputs["z"]),
    ],
)
def test_golden_inputs_of_another_generator(bundle, spoil):
    golden = Golden.read(bundle / GOLDEN)
    inputs = dict(golden.inputs)
    spoil(inputs)
    (bundle / GOLDEN).write_bytes(Golden(inputs, golden.images).to_bytes())
    reseal(bundle)
    assert GOLDEN in refusal(bundle)


def test_golden_images_of_another_size_are_not_unpacked(bundle, monkeypatch):
    """However many bytes they would become."""
    golden = Golden.read(bundle / GOLDEN)
    (bundle / GOLDEN).write_bytes(Golden(golden.inputs, np.repeat(golden.images, 2, axis=1)).to_bytes())
    reseal(bundle)
    monkeypatch.setattr(np, "load", None)
    assert "another generator" in refusal(bundle)


def test_pickles_in_the_golden_images_are_not_opened(bundle):
    np.savez(bundle / GOLDEN, image=np.array([{"a": 1}], dtype=object))
    reseal(bundle)
    assert GOLDEN in refusal(bundle)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../x",
        "a\\..\\x",
        "C:x",
        "",
        ".",
        "./x",
        "a\0b",
        "\ud800",
        "é" * 500,
        "é" * 200,
    ],
)
def test_names_that_leave_the_bundle(bundle, name):
    files = json.loads((bundle / MANIFEST).read_text())["files"]
    forge(bundle, files={**files, name: "0" * 64})
    message = refusal(bundle)
    assert str(bundle) in message


def test_links_are_not_followed(bundle, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    shutil.copy(bundle / CARD, secret / CARD)
    (bundle / CARD).unlink()
    (bundle / CARD).symlink_to(secret / CARD)
    assert CARD in refusal(bundle)
    (bundle / CARD).unlink()
    (bundle / "linked").symlink_to(secret)
    files = read_manifest(bundle).files
    forge(bundle, files={**{k: v for k, v in files.items() if k != CARD}, f"linked/{CARD}": files[CARD]})
    assert "linked" in refusal(bundle)


def test_a_link_to_the_bundle_itself_is_fine(bundle, tmp_path):
    (tmp_path / "current").symlink_to(bundle)
    verify_bundle(tmp_path / "current")


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": 2},
        {"format_version": None},
        {"files": []},
        {"files": {GRAPH: 3}},
        {"files": {GRAPH: "0" * 64}},
        {"tools": "torch"},
        {"verification": None},
        {"opset": "18"},
        {"seed_algorithm": 5},
        {"judged": {"KID": [[]]}},
        {"judged": None},
        {"spec": {}},
        {"spec": []},
        {"unknown": 1},
    ],
)
def test_hostile_manifests(bundle, changes):
    forge(bundle, **changes)
    assert MANIFEST in refusal(bundle)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", "{", "[" * 100_000, '{"seal": ' * 50_000, "\ufeff{}", "NaN"])
def test_manifests_that_are_none(bundle, text):
    (bundle / MANIFEST).write_text(text)
    assert MANIFEST in refusal(bundle)


def test_a_folder_that_is_no_bundle(tmp_path):
    assert "is not a bundle" in refusal(tmp_path)
    assert "is not a bundle" in refusal(tmp_path / "nowhere")


def test_external_weights_are_refused_before_anything_is_opened(bundle):
    model = graph_of(bundle)
    move_weights_out(model)
    (bundle / GRAPH).write_bytes(model.SerializeToString())
    reseal(bundle)
    message = refusal(bundle)
    assert GRAPH in message
    assert "another file" in message


@pytest.mark.parametrize("spoil", [ask_for_more_than_memory, hold_a_sparse_weight])
def test_a_small_graph_that_asks_for_more_than_memory(bundle, spoil):
    model = graph_of(bundle)
    spoil(model)
    (bundle / GRAPH).write_bytes(model.SerializeToString())
    reseal(bundle)
    started = time.monotonic()
    assert GRAPH in refusal(bundle)
    assert time.monotonic() - started < 30  # seconds, on a machine that is busy with something else


def test_a_graph_larger_than_onnx_can_be_is_not_read(bundle, monkeypatch):
    monkeypatch.setattr("core.onnx.reading.LARGEST_GRAPH", (bundle / GRAPH).stat().st_size - 1)
    monkeypatch.setattr(onnx, "load_model_from_string", None)
    assert "larger than" in refusal(bundle)


def test_a_forged_graph_is_named(bundle):
    model = graph_of(bundle)
    add_random(model)
    (bundle / GRAPH).write_bytes(model.SerializeToString())
    reseal(bundle)
    assert GRAPH in (message := refusal(bundle))
    assert "RandomNormal" in message


def test_other_weights_do_not_give_the_golden_images(bundle):
    model = graph_of(bundle)
    largest = max(model.graph.initializer, key=lambda tensor: tensor.ByteSize())
    largest.raw_data = (onnx.numpy_helper.to_array(largest) * 1.5).tobytes()
    (bundle / GRAPH).write_bytes(model.SerializeToString())
    reseal(bundle)
    assert GOLDEN in refusal(bundle)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), value=st.integers(0, 255), count=st.integers(1, 8))
def test_a_graph_of_damaged_bytes_passes_or_is_named(exported, tmp_path_factory, at, value, count):
    """Hashes that fit protect nothing here: whatever the bytes are, the answer is ours."""
    bundle = tmp_path_factory.mktemp("fuzz") / "bundle"
    shutil.copytree(exported, bundle)
    data = bytearray((bundle / GRAPH).read_bytes())
    start = int(at * (len(data) - count))
    data[start : start + count] = bytes([value]) * count
    (bundle / GRAPH).write_bytes(data)
    reseal(bundle)
    try:
        verify_bundle(bundle)
    except BundleError as error:
        assert "\n" not in str(error)
        assert GRAPH in str(error)
    finally:
        shutil.rmtree(bundle)


def test_a_provider_that_does_not_work_here_is_not_replaced_silently(exported):
    with pytest.raises(MissingDependency, match="NoSuchProvider"):
        verify_bundle(exported, provider="NoSuchProvider")


def test_cuda_is_used_or_refused(exported):
    from onnxruntime import get_available_providers

    if "CUDAExecutionProvider" not in get_available_providers():
        pytest.skip("this ONNX Runtime was built without CUDA")
    try:
        findings = verify_bundle(exported, provider="CUDAExecutionProvider")
    except MissingDependency as error:
        assert "CUDAExecutionProvider" in str(error)
    else:
        assert "CUDAExecutionProvider" in findings[-1].figure


def test_verification_needs_no_torch(exported):
    code = (
        "import sys; from pathlib import Path; from export.bundles.verify import verify_bundle;"
        "findings = verify_bundle(Path(sys.argv[1])); assert len(findings) == 5;"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", code, str(exported)], check=True, env=environment, timeout=60)
