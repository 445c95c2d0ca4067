"""Foreign files that are damaged, or made to harm: one line, quickly, and nothing outside the folder is opened."""

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from core.errors import BundleError, ExportError
from core.files import sha256
from core.onnx import reading
from export.foreign import source
from export.foreign.exporting import export_foreign
from export.foreign.hints import ImportHints
from export.foreign.inspection import inspect
from export.foreign.source import read_source
from tests.export.foreign.foreign_models import Foreign

PLAIN = ImportHints((-1, 1))
WHOLE = Foreign().model().SerializeToString()


def outside(location: str, **more: str) -> onnx.ModelProto:
    """The generator with its one matrix in another file."""
    model = Foreign().model()
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "weight")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        weight.external_data.add(key=key, value=value)
    return model


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a model's weights in it, and a secret beside it."""
    folder = tmp_path / "models"
    (folder / "deep").mkdir(parents=True)
    weight = Foreign().weights[0].tobytes()
    for path in (folder / "w.bin", folder / "deep" / "w.bin", tmp_path / "secret"):
        path.write_bytes(weight)
    (folder / "link.bin").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "short.bin").write_bytes(weight[:-1])
    (folder / "long.bin").write_bytes(b"12345678" + weight + b"more")
    return folder


def save(model: onnx.ModelProto, folder: Path) -> Path:
    (folder / "theirs.onnx").write_bytes(model.SerializeToString())
    return folder / "theirs.onnx"


SIZE = len(Foreign().weights[0].tobytes())


@pytest.mark.parametrize(
    "model",
    [
        outside("w.bin"),
        outside("w.bin", offset="0", length=str(SIZE), checksum="ignored"),
        outside("deep/w.bin"),
        outside("long.bin", offset="8", length=str(SIZE)),
    ],
)
def test_weights_beside_the_file_are_taken_inside(place, model):
    found = read_source(save(model, place))
    expected = Foreign().model().graph.initializer
    assert {w.name: w.raw_data for w in found.model.graph.initializer} == {w.name: w.raw_data for w in expected}
    (name,) = found.weights
    assert found.weights[name] == sha256(place / name)
    assert found.sha256 == sha256(place / "theirs.onnx")


@pytest.mark.parametrize(
    "model",
    [
        outside("../secret"),
        outside("deep/../../secret"),
        outside("/etc/passwd"),
        outside("linked/secret"),
        outside("link.bin"),
        outside("..\\secret"),
        outside("C:secret"),
        outside("\0"),
        outside(""),
        outside("."),
        outside("deep"),
        outside("nowhere.bin"),
        outside("w.bin", offset="-1"),
        outside("w.bin", length="-1"),
        outside("w.bin", length=str(SIZE + 1)),
        outside("w.bin", offset=str(10**30)),
        outside("w.bin", offset="much"),
        outside("x" * 5000),
    ],
)
def test_weights_that_lie_elsewhere_or_are_not_there(place, model):
    with pytest.raises(ExportError, match="weights 'weight'") as caught:
        read_source(save(model, place))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 5500


def test_a_file_and_its_weights_reached_through_links_into_a_cache(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    weight = Foreign().weights[0].tobytes()
    (blobs / "0a").write_bytes(outside("w.bin").SerializeToString())
    (blobs / "0b").write_bytes(weight)
    (snapshot / "theirs.onnx").symlink_to("../../blobs/0a")
    (snapshot / "w.bin").symlink_to("../../blobs/0b")
    found = read_source(snapshot / "theirs.onnx")
    assert next(w.raw_data for w in found.model.graph.initializer if w.name == "weight") == weight
    assert found.weights == {"w.bin": sha256(blobs / "0b")}
    assert inspect(snapshot / "theirs.onnx")[0].beside == {"w.bin": len(weight)}

    (tmp_path / "secret").write_bytes(weight)
    for place in (snapshot / "w.bin", blobs / "0b"):  # wherever the last link leads, it is there that it must be
        place.unlink()
        place.symlink_to(tmp_path / "secret")
        with pytest.raises(ExportError, match="not a file there"):
            read_source(snapshot / "theirs.onnx")


def test_a_translator_is_looked_at_without_opening_its_weights(place):
    """The range of its pictures is guessed from its first step, which may be one whose weights lie elsewhere."""
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, 16, 16])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 16, 16])
    gain = numpy_helper.from_array(np.full((1, 1, 1, 1), 255, np.float32), "gain")
    nodes = [helper.make_node("Div", ["picture", "gain"], ["unit"]), helper.make_node("Sigmoid", ["unit"], ["image"])]
    model = helper.make_model(helper.make_graph(nodes, "theirs", [picture], [image], [gain]), ir_version=8)
    assert "--source-range 0,255" in inspect(save(model, place))[0].command

    (weight,) = model.graph.initializer
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="four.bin")
    (place / "four.bin").write_bytes(b"1234")
    (found,) = inspect(save(model, place))
    assert found.beside == {"four.bin": 4}
    assert "--source-range" not in found.command  # nobody looked


@pytest.mark.parametrize("name", ["short.bin", "long.bin"])
def test_weights_of_another_size_than_the_graph_s(place, name):
    with pytest.raises(ExportError, match="refuses the graph"):
        export_foreign(save(outside(name), place), place / "bundle", PLAIN)


def test_weights_that_are_claimed_again_and_again(place, monkeypatch):
    """Many tensors may point at one file: together they are more than it."""
    monkeypatch.setattr(source, "LARGEST_GRAPH", 5 * SIZE)
    model = outside("w.bin")
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "weight")
    for _ in range(5):
        model.graph.initializer.append(weight)
    with pytest.raises(ExportError, match="one ONNX file holds 2"):
        read_source(save(model, place))


@pytest.mark.parametrize("data", [b"", b"hello", WHOLE[: len(WHOLE) // 2], b"\xff" * 1000, b"\x08\x08", b"PK\x03\x04"])
def test_files_that_are_no_model(tmp_path, data):
    (tmp_path / "theirs.onnx").write_bytes(data)
    with pytest.raises(ExportError, match="not an ONNX model"):
        read_source(tmp_path / "theirs.onnx")


@pytest.mark.parametrize("name", [b"flat", b"sum_up", b"MatMul", b"weight", b"axis", b"z", b"out"])
def test_names_that_are_no_text(tmp_path, name):
    (tmp_path / "theirs.onnx").write_bytes(WHOLE.replace(name, b"\xff" * len(name)))
    with pytest.raises(ExportError, match="an ONNX model"):
        read_source(tmp_path / "theirs.onnx")


def test_places_where_no_file_is(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "loop", Path("/dev/zero")):
        with pytest.raises(ExportError, match=str(path)):
            read_source(path)


def test_a_file_larger_than_onnx_can_be_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "theirs.onnx").write_bytes(WHOLE)
    monkeypatch.setattr(reading, "LARGEST_GRAPH", len(WHOLE) - 1)
    monkeypatch.setattr(onnx, "load_model_from_string", None)
    with pytest.raises(ExportError, match="larger than"):
        read_source(tmp_path / "theirs.onnx")


def huge_constant() -> onnx.ModelProto:
    model = Foreign().model()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "sides"))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["sides"], ["much"]))
    model.graph.node.insert(1, helper.make_node("ReduceMax", ["much"], ["most"], keepdims=0))
    model.graph.node.insert(2, helper.make_node("Add", ["z", "most"], ["all"]))
    model.graph.node[3].input[0] = "all"
    return model


def huge_weight() -> onnx.ModelProto:
    model = Foreign().model()
    model.graph.initializer[0].dims[:] = [8, 1 << 40]
    return model


def huge_latent() -> onnx.ModelProto:
    model = Foreign().model()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 40
    return model


def huge_fixed() -> onnx.ModelProto:
    model = Foreign(psi="one").model()
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 1 << 25
    return model


@pytest.mark.parametrize("make", [huge_constant, huge_weight, huge_latent, huge_fixed])
def test_small_files_that_ask_for_much(tmp_path, make):
    (tmp_path / "theirs.onnx").write_bytes(make().SerializeToString())
    hints = ImportHints((-1, 1), latent="z", fixed={"psi": "1"} if make is huge_fixed else {})
    started = time.monotonic()
    with pytest.raises(ExportError):
        export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", hints)
    assert time.monotonic() - started < 30  # seconds, on a machine that is busy with something else


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), value=st.integers(0, 255), count=st.integers(1, 8))
def test_a_file_of_damaged_bytes_is_wrapped_or_refused(tmp_path_factory, at, value, count):
    folder = tmp_path_factory.mktemp("damaged")
    data = bytearray(WHOLE)
    start = int(at * (len(data) - count))
    data[start : start + count] = bytes([value]) * count
    (folder / "theirs.onnx").write_bytes(data)
    try:
        export_foreign(folder / "theirs.onnx", folder / "bundle", PLAIN)
    except ExportError as error:
        assert "\n" not in str(error)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


@pytest.mark.parametrize(("data", "says"), [(POINTER, "Git LFS"), (b"\n<!DOCTYPE html><html></html>", "web page")])
def test_what_was_downloaded_instead_of_a_model_is_named(tmp_path, data, says):
    (tmp_path / "theirs.onnx").write_bytes(data)
    with pytest.raises(ExportError, match=says):
        read_source(tmp_path / "theirs.onnx")
    with pytest.raises(BundleError, match=says):
        inspect(tmp_path / "theirs.onnx")
