"""The folder tensorrt/ of a bundle: its gate with a real TensorRT, its scripts with a fake that runs the real graph."""

import ctypes
import importlib
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from core.bundle import FP16, GRAPH, read_bundle
from core.errors import BundleError, ExportError, MissingDependency
from core.files import sha256
from core.networks import TRANSLATORS
from core.onnx.session import open_session
from export.bundles.exporting import export_run
from export.bundles.options import ExportOptions
from export.bundles.verify import verify_bundle
from export.precisions.fp16 import to_half
from export.tensorrt import gate, writing
from export.tensorrt.profiles import plan, render_trtexec
from tests.export.conftest import TRANSLATIONS, family_spec, graph_of, ship, translator_spec

GPU = {"gpu": "NVIDIA Fake 9000", "compute_capability": "8.9", "cuda_driver": "12080"}
THERE = find_spec(gate.PACKAGE) is not None
GATE = pytest.mark.skipif(not THERE, reason="tensorrt-rtx is not installed")


@pytest.fixture(scope="module")
def ready(run, tmp_path_factory):
    """A bundle with the folder. Not to be changed. Where there is no tensorrt-rtx, its gate is left out."""
    path = tmp_path_factory.mktemp("ready") / "sprites"
    with pytest.MonkeyPatch.context() as patch:
        if not THERE:
            patch.setattr("export.bundles.options.check_installed", lambda: None)
            patch.setattr(writing, "try_build", lambda name, graph, profiles: {"file": name, "layers": 1})
            patch.setattr(writing, "version", lambda: "0")
        export_run(run, path, options=ExportOptions(tensorrt=True))
    return path


@pytest.fixture
def bundle(ready, tmp_path):
    return shutil.copytree(ready, tmp_path / "sprites")


def test_the_folder_holds_what_a_gpu_machine_needs(ready):
    names = {"profiles.json", "trtexec.sh", "parse_report.json", *writing.SCRIPTS}
    manifest = read_bundle(ready)
    assert {name for name in manifest.files if "/" in name} == {f"tensorrt/{name}" for name in names}
    values = json.loads((ready / "tensorrt" / "profiles.json").read_text())
    files = {name: graph["file"] for name, graph in values["graphs"].items()}
    assert files == {"fp32": f"../{GRAPH}", "fp16": f"../{FP16}"}
    assert values["graphs"]["fp16"]["sha256"] == sha256(ready / FP16)
    assert values["graphs"]["fp32"]["limits"]["most"] == 1
    assert values["profiles"][1]["shapes"]["z"] == {"min": [1, 8], "opt": [16, 8], "max": [64, 8]}
    assert set(manifest.verification["tensorrt"]["engines"]) == {"fp32", "fp16"}


def test_every_input_has_every_shape():
    for profile in plan(family_spec("style", "tall RGB"), {})["profiles"]:
        assert set(profile["shapes"]) == {"z", "truncation", "label", "codes"}
        assert all(s["min"][0] <= s["opt"][0] <= s["max"][0] for s in profile["shapes"].values())


def test_a_translator_has_its_source_in_every_shape():
    values = plan(translator_spec("unet", "grey to larger RGB"), {"fp32": ("../generator.onnx", "")})
    one, batch = (found["shapes"] for found in values["profiles"])
    assert one == {"source": {"min": [1, 10, 20, 1], "opt": [1, 10, 20, 1], "max": [4, 10, 20, 1]}}
    assert batch["source"]["max"] == [64, 10, 20, 1]
    assert "--optShapes=source:16x10x20x1" in render_trtexec(values)


@GATE
@pytest.mark.parametrize("what", TRANSLATIONS)
@pytest.mark.parametrize("family", TRANSLATORS)
def test_translators_build_in_both_precisions(family, what):
    model, spec = ship(family, what).model, translator_spec(family, what)
    for made in (model, to_half(model)):
        found = gate.try_build(GRAPH, made.SerializeToString(), plan(spec, {})["profiles"])
        assert found["inputs"][0].startswith("source UINT8 [N, ")


@GATE
def test_pixels_that_are_transposed_before_they_are_cast_are_refused():
    """What the rule of pixels first is for. The other order builds, as the test above says."""
    model = onnx.ModelProto.FromString(ship("unet", "RGBA to RGBA").model.SerializeToString())
    cast, transpose = model.graph.node[:2]
    cast.op_type, transpose.op_type = transpose.op_type, cast.op_type
    attributes = [cast.attribute.pop(), transpose.attribute.pop()]
    cast.attribute.append(attributes[1])
    transpose.attribute.append(attributes[0])
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    profiles = plan(translator_spec("unet", "RGBA to RGBA"), {})["profiles"]
    with pytest.raises(ExportError, match=r"cannot parse generator\.onnx: Transpose node .*UInt8"):
        gate.try_build(GRAPH, model.SerializeToString(), profiles)


@pytest.mark.parametrize("name", ["build_engine.py", "profiles.json", "trtexec.sh"])
def test_a_changed_script_is_found(bundle, name):
    with (bundle / "tensorrt" / name).open("a") as file:
        file.write(" ")
    with pytest.raises(BundleError, match=name):
        verify_bundle(bundle)


@GATE
def test_the_report_says_what_was_built(ready):
    report = json.loads((ready / "tensorrt" / "parse_report.json").read_text())
    assert report["built_with"].startswith("tensorrt-rtx 1.")
    for engine in report["engines"].values():
        assert engine["profiles_built"] == ["one", "batch"]
        assert engine["outputs"] == ["image UINT8 [N, 32, 32, 4]"]
        assert engine["layers"] > 5


@GATE
def test_a_graph_that_tensorrt_cannot_parse_is_named_with_node_and_reason(exported):
    """Cast to bytes, then Transpose: what the rule of pixels last is for."""
    model = graph_of(exported)
    transpose, cast = model.graph.node[-2:]
    cast.input[0], cast.output[0] = transpose.input[0], "bytes"
    transpose.input[0], transpose.output[0] = "bytes", "image"
    nodes = [*model.graph.node[:-2], cast, transpose]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    with pytest.raises(ExportError, match=r"cannot parse generator\.onnx: Cast node .*UINT8") as caught:
        gate.try_build(GRAPH, model.SerializeToString(), [profile(z=8, truncation=1)])
    assert "\n" not in str(caught.value)


@GATE
def test_a_graph_that_parses_and_does_not_build_is_refused_with_the_reason():
    """bf16 in a transposed convolution: parsing alone proves nothing."""
    ports = [helper.make_tensor_value_info("z", 1, ["n", 8]), helper.make_tensor_value_info("image", 1, ["n", 4, 4, 4])]
    nodes = [
        helper.make_node("Reshape", ["z", "shape"], ["pixel"]),
        helper.make_node("Cast", ["pixel"], ["typed"], to=TensorProto.BFLOAT16),
        helper.make_node("ConvTranspose", ["typed", "weight"], ["grown"], name="odd_one"),
        helper.make_node("Cast", ["grown"], ["image"], to=TensorProto.FLOAT),
    ]
    constants = [
        helper.make_tensor("weight", TensorProto.BFLOAT16, [8, 4, 4, 4], np.ones(512)),
        onnx.numpy_helper.from_array(np.array([-1, 8, 1, 1]), "shape"),
    ]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    with pytest.raises(ExportError, match=r"parses odd\.onnx and cannot build it.*odd_one") as caught:
        gate.try_build("odd.onnx", model.SerializeToString(), [profile(z=8)])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@GATE
def test_a_node_that_tensorrt_does_not_know_is_named():
    ports = [helper.make_tensor_value_info("z", 1, ["n", 8]), helper.make_tensor_value_info("image", 1, [])]
    nodes = [
        helper.make_node("Unsqueeze", ["z", "axis"], ["square"]),
        helper.make_node("Det", ["square"], ["image"], name="odd_one"),
    ]
    axis = onnx.numpy_helper.from_array(np.array([1], np.int64), "axis")
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(ExportError, match="Det") as caught:
        gate.try_build("odd.onnx", model.SerializeToString(), [profile(z=8)])
    assert "odd_one" in str(caught.value)


def profile(**sizes):
    return {"name": "one", "shapes": {n: {"min": [1, d], "opt": [1, d], "max": [4, d]} for n, d in sizes.items()}}


def test_a_failing_gate_leaves_nothing(run, converted, tmp_path, monkeypatch):
    def refuse(name, graph, profiles):
        raise ExportError(f"TensorRT cannot parse {name}: Det node 'odd_one': no")

    monkeypatch.setattr("export.bundles.options.check_installed", lambda: None)
    monkeypatch.setattr(writing, "try_build", refuse)
    with pytest.raises(ExportError, match="odd_one"):
        export_run(run, tmp_path / "out", options=ExportOptions(tensorrt=True))
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_one_line_says_what_brings_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "PACKAGE", "absent_package")
    with pytest.raises(MissingDependency, match=r"pip install .*\[tensorrt\]"):
        export_run(run, tmp_path / "out", options=ExportOptions(tensorrt=True))


class Driver:
    """CUDA's driver, whose device memory is this process's own."""

    def __init__(self):
        self.kept = {}

    def __getattr__(self, name):
        return lambda *arguments: 0  # cuInit, cuCtxSetCurrent and others that have nothing to give

    def cuDeviceGetName(self, name, length, device):
        name.value = GPU["gpu"].encode()
        return 0

    def cuDriverGetVersion(self, version):
        version._obj.value = int(GPU["cuda_driver"])
        return 0

    def cuDeviceGetAttribute(self, value, which, device):
        value._obj.value = {75: 8, 76: 9}[which]
        return 0

    def cuMemAlloc_v2(self, address, size):
        buffer = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(buffer)
        self.kept[address._obj.value] = buffer
        return 0

    def cuMemFree_v2(self, address):
        del self.kept[address.value]
        return 0

    def cuMemcpyHtoD_v2(self, address, source, size):
        ctypes.memmove(address.value, source, size.value)
        return 0

    def cuMemcpyDtoH_v2(self, target, address, size):
        ctypes.memmove(target, address.value, size.value)
        return 0


class Context:
    """Runs the graph that the engine was built from in ONNX Runtime, from and into the driver's memory."""

    def __init__(self, graph, off):
        self.session, self.off = open_session(graph), off
        self.shapes, self.addresses = {}, {}

    def set_optimization_profile_async(self, index, stream):
        assert (index, stream) in ((0, 0), (1, 0))

    def set_input_shape(self, name, shape):
        self.shapes[name] = tuple(shape)

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        inputs = {name: self._values(name, shape) for name, shape in self.shapes.items()}
        (images,) = self.session.run(["image"], inputs)
        images = (images.astype(int) + self.off).clip(0, 255).astype(np.uint8)
        ctypes.memmove(self.addresses["image"], images.ctypes.data, images.nbytes)
        return True

    def _values(self, name, shape):
        raw = ctypes.string_at(self.addresses[name], 4 * int(np.prod(shape)))
        return np.frombuffer(raw, np.float32).reshape(shape)


def fake_tensorrt(version="10.13.2", off=0):
    """What the scripts use of TensorRT. An engine is its graph with "plan:" before it."""
    trt = ModuleType("tensorrt")
    trt.__version__ = version
    trt.profiles, trt.caches, trt.flags = [], [], []

    class Config:
        def add_optimization_profile(self, profile):
            trt.profiles.append(profile.shapes)

        def clear_flag(self, flag):
            trt.flags.append(flag)

        def create_timing_cache(self, data):
            return SimpleNamespace(data=data, serialize=lambda: b"timings")

        def set_timing_cache(self, cache, ignore):
            trt.caches.append(cache.data)
            self.cache = cache
            return cache.data in (b"", b"timings")

        def get_timing_cache(self):
            return self.cache

    class Profile:
        def __init__(self):
            self.shapes = {}

        def set_shape(self, name, *shapes):
            self.shapes[name] = shapes

    class Builder:
        def __init__(self, logger):
            pass

        def create_network(self, flags):
            return SimpleNamespace(flags=flags)

        def create_builder_config(self):
            return Config()

        def create_optimization_profile(self):
            return Profile()

        def build_serialized_network(self, network, config):
            trt.typed = network.flags
            return b"plan:" + network.graph

    class Parser:
        def __init__(self, network, logger):
            self.network = network

        def parse(self, data):
            self.network.graph = data
            return True

    def load(data):
        graph = bytes(data).removeprefix(b"plan:")
        return SimpleNamespace(create_execution_context=lambda: Context(graph, off))

    trt.Logger = lambda severity: None
    trt.Logger.WARNING = 2
    trt.BuilderFlag = SimpleNamespace(TF32="TF32")
    trt.Builder, trt.OnnxParser = Builder, Parser
    trt.Runtime = lambda logger: SimpleNamespace(deserialize_cuda_engine=load)
    if version.startswith("10"):
        trt.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    return trt


SCRIPT_MODULES = ("machine", "verify_engine", "build_engine")


@pytest.fixture
def scripts(bundle, monkeypatch, capsys):
    """``scripts(name, *arguments)`` runs one of the bundle's scripts; its exit status and what it said."""
    driver = Driver()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    monkeypatch.syspath_prepend(str(bundle / "tensorrt"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def call(name, *arguments, trt=None):
        for module in SCRIPT_MODULES:
            sys.modules.pop(module, None)
        monkeypatch.setitem(sys.modules, "tensorrt", trt or fake_tensorrt())
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        module = importlib.import_module(name)
        try:
            sys.modules["machine"].run(module.main)
        except SystemExit as end:
            return 1, str(end.code)
        finally:
            assert driver.kept == {}  # all memory was given back
        return 0, capsys.readouterr().out

    yield call
    for module in SCRIPT_MODULES:
        sys.modules.pop(module, None)


@pytest.fixture
def engines(bundle):
    return bundle.with_name("sprites.engines")


@pytest.mark.parametrize(("precision", "version"), [("fp16", "10.13.2"), ("fp32", "11.4.0")])
def test_an_engine_is_built_verified_and_described(bundle, engines, scripts, precision, version):
    trt = fake_tensorrt(version)
    status, said = scripts("build_engine", "--precision", precision, trt=trt)
    assert status == 0, said
    assert "profile batch: mean 0.0" in said
    assert trt.profiles[1]["z"] == ((1, 8), (16, 8), (64, 8))
    assert trt.typed == (2 if version.startswith("10") else 0)
    assert trt.flags == ["TF32"]
    assert {path.name for path in engines.iterdir()} == {f"{precision}.plan", f"{precision}.json", "timing.cache"}
    manifest = json.loads((engines / f"{precision}.json").read_text())
    assert {name: manifest[name] for name in GPU} == GPU
    assert manifest["tensorrt"] == version
    assert manifest["onnx_sha256"] == sha256(bundle / (FP16 if precision == "fp16" else GRAPH))
    assert scripts("verify_engine", "--precision", precision, trt=trt)[0] == 0
    status, said = scripts("build_engine", "--precision", precision, trt=trt)
    assert (status, "is there and fits" in said) == (0, True)
    assert len(trt.caches) == 1
    read_bundle(bundle)
    assert not list(bundle.rglob("*.plan"))


@pytest.mark.parametrize(
    ("fact", "value"),
    [("gpu", "NVIDIA Other"), ("compute_capability", "9.0"), ("tensorrt", "10.13.3"), ("onnx_sha256", "0" * 64)],
)
def test_an_engine_of_elsewhere_is_refused_until_it_is_rebuilt(engines, scripts, fact, value):
    assert scripts("build_engine")[0] == 0
    manifest = json.loads((engines / "fp16.json").read_text())
    (engines / "fp16.json").write_text(json.dumps({**manifest, fact: value}))
    for script in ("build_engine", "verify_engine"):
        status, said = scripts(script)
        assert status == 1
        for word in ("does not fit", f"{fact} {value}", "--rebuild"):
            assert word in said
    assert scripts("build_engine", "--rebuild")[0] == 0
    assert scripts("verify_engine")[0] == 0


def test_a_plan_or_manifest_that_was_touched_is_refused(engines, scripts):
    assert scripts("build_engine")[0] == 0
    (engines / "fp16.plan").write_bytes(b"plan:something else")
    for script in ("build_engine", "verify_engine"):
        status, said = scripts(script)
        assert (status, "its manifest describes" in said) == (1, True)
    for text in ("", "[]"):
        (engines / "fp16.json").write_text(text)
        assert scripts("verify_engine")[0] == scripts("build_engine")[0] == 1
    (engines / "fp16.json").unlink()
    assert scripts("verify_engine")[0] == 1


def test_another_gpus_timings_are_started_anew(engines, scripts):
    engines.mkdir()
    (engines / "timing.cache").write_bytes(b"of another GPU")
    trt = fake_tensorrt()
    assert scripts("build_engine", trt=trt)[0] == 0
    assert trt.caches == [b"of another GPU", b""]
    assert (engines / "timing.cache").read_bytes() == b"timings"


@pytest.mark.parametrize(("precision", "off"), [("fp16", 9), ("fp16", 1), ("fp32", 2)])
def test_an_engine_that_makes_other_images_is_not_kept(engines, scripts, precision, off):
    status, said = scripts("build_engine", "--precision", precision, trt=fake_tensorrt(off=off))
    assert status == 1
    assert "0.25 on average" in said
    assert [path.name for path in engines.iterdir()] == ["timing.cache"]


def test_what_cannot_be_is_one_line(bundle, scripts):
    assert "too old" in scripts("build_engine", trt=fake_tensorrt("10.11.0"))[1]
    assert "choose from fp32, fp16" in scripts("build_engine", "--precision", "int8")[1]
    (bundle / FP16).write_bytes(b"other")
    assert "changed after the export" in scripts("build_engine")[1]
    (bundle / FP16).unlink()
    assert "is missing" in scripts("build_engine")[1]
    (bundle / "tensorrt" / "profiles.json").write_text("{")
    assert "cannot be read" in scripts("build_engine")[1]


@pytest.mark.parametrize("script", ["build_engine.py", "verify_engine.py"])
def test_without_tensorrt_or_a_gpu_one_line(bundle, tmp_path, script):
    command = [sys.executable, "-B", bundle / "tensorrt" / script]
    if find_spec("tensorrt") is None:
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, "error: Python has no tensorrt here: pip install tensorrt\n")
    (tmp_path / "tensorrt.py").write_text("__version__ = '10.13.2'")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


REMOVED_IN_11 = {"--fp16", "--int8", "--bf16", "--fp8", "--int4", "--best", "--calib", "--precisionConstraints"}


@pytest.mark.parametrize("knows", [True, False])
def test_trtexec_is_asked_in_the_words_of_10_and_11(bundle, engines, tmp_path, knows):
    asked, tool = tmp_path / "asked", tmp_path / "bin" / "trtexec"
    tool.parent.mkdir()
    tells = "--stronglyTyped  all types are in the network" if knows else "--onnx"
    tool.write_text(f'#!/bin/sh\nif [ "$1" = --help ]; then echo "{tells}"; else echo "$@" >> "{asked}"; fi\n')
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tool.parent}:{os.environ['PATH']}"}
    subprocess.run(["sh", bundle / "tensorrt" / "trtexec.sh"], check=True, env=environment)
    runs = asked.read_text().splitlines()
    assert [f"../{name} " in line for line, name in zip(runs, (GRAPH, FP16), strict=True)] == [True, True]
    for line in runs:
        words = {word.split("=")[0] for word in line.split()}
        assert words.isdisjoint(REMOVED_IN_11)
        assert ("--stronglyTyped" in words) == knows
        assert "--optShapes=z:16x8,truncation:16x1" in line
        assert line.count("--profile=") == 2
        assert f"--saveEngine={engines}/" in line
    values = json.loads((bundle / "tensorrt" / "profiles.json").read_text())
    assert render_trtexec(values) == (bundle / "tensorrt" / "trtexec.sh").read_text()
