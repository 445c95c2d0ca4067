"""Inputs and pictures in the shapes that files from elsewhere have, held against ONNX Runtime on the file itself."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.bundle import CARD, GRAPH
from core.contract import input_ports, sample_inputs
from core.difference import levels_apart
from core.errors import ExportError
from core.onnx.session import open_session, run
from export.bundles.options import ExportOptions
from export.bundles.verify import verify_bundle
from export.foreign.exporting import export_foreign
from export.foreign.hints import ImportHints

F, I64 = TensorProto.FLOAT, TensorProto.INT64
DIM, HEIGHT, WIDTH = 8, 6, 10


@dataclass
class Made:
    """``tanh(vector @ weight)`` as an image, where nodes make ``vector``, ``[n, DIM]``, of the inputs."""

    inputs: list[tuple[str, int, list]]
    nodes: list = field(default_factory=list)
    sides: tuple[int, ...] = (3, HEIGHT, WIDTH)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    end: str = "Tanh"

    def model(self) -> onnx.ModelProto:
        random = np.random.RandomState(5)
        weight = random.standard_normal((DIM, math.prod(self.sides))).astype(np.float32) / 2
        shape = np.array([-1, *self.sides], np.int64)
        held = {"weight": weight, "shape": shape, "flat": np.array([-1, DIM], np.int64), **self.weights}
        nodes = [*self.nodes, helper.make_node("MatMul", ["vector", "weight"], ["sum"])]
        nodes += [
            helper.make_node(self.end, ["sum"], ["value"]),
            helper.make_node("Reshape", ["value", "shape"], ["out"]),
        ]
        graph = helper.make_graph(
            nodes,
            "theirs",
            [helper.make_tensor_value_info(*each) for each in self.inputs],
            [helper.make_tensor_value_info("out", F, [None, *self.sides])],
            [numpy_helper.from_array(value, name) for name, value in held.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


def flat(shape) -> Made:
    """A latent of that shape."""
    return Made([("z", F, shape)], [node("Reshape", ["z", "flat"], "vector")])


def beside(shape, how="Mul", name="c", kind=F, **more) -> Made:
    """Another input beside a latent ``(n, DIM)``."""
    return Made([("z", F, ["n", DIM]), (name, kind, shape)], [node(how, ["z", name], "vector", **more)])


def labelled(shape, kind) -> Made:
    """Three classes, one-hot or a number; each moves the latent."""
    table = np.random.RandomState(6).standard_normal((3, DIM)).astype(np.float32)
    one_hot = len(shape) == 2 and shape[1] == 3
    nodes = [node("Cast", ["y"], "as_number", to=F if one_hot else I64)]
    if one_hot:
        nodes.append(node("MatMul", ["as_number", "table"], "chosen"))
    else:
        nodes += [node("Reshape", ["as_number", "list"], "one"), node("Gather", ["table", "one"], "chosen")]
    nodes.append(node("Add", ["z", "chosen"], "vector"))
    weights = {"table": table, "list": np.array([-1], np.int64)}
    return Made([("z", F, ["n", DIM]), ("y", kind, shape)], nodes, weights=weights)


PLAIN = ImportHints((-1, 1))
FIXED = ImportHints((-1, 1), latent="z", fixed={"c": "0.5"})
CLASSED = ImportHints((-1, 1), latent="z", label="y", classes=("a", "b", "c"))
GREY = replace(PLAIN, size=(HEIGHT, WIDTH))
ROWS = HEIGHT * WIDTH

CASES = {
    "latent [n, D, 1, 1]": (flat(["n", DIM, 1, 1]), PLAIN),
    "latent [n, 1, D]": (flat(["n", 1, DIM]), PLAIN),
    "latent [n, 1, 1, D]": (flat(["n", 1, 1, DIM]), PLAIN),
    "latent [?, ?, ?, D]": (flat([None, None, None, DIM]), PLAIN),
    "latent [n, 2, 4]": (flat(["n", 2, 4]), PLAIN),
    "latent [D]": (flat([DIM]), PLAIN),
    "fixed, another name": (beside(["unk__7", DIM]), FIXED),
    "fixed, no name": (beside([None, DIM]), FIXED),
    "fixed, 1": (beside([1, DIM]), FIXED),
    "fixed, of no side": (beside([]), FIXED),
    "fixed, one for all": (beside(["m"]), FIXED),
    "no classes [1, 0]": (beside([1, 0], "Concat", axis=1), PLAIN),
    "no classes [n, 0]": (beside(["n", 0], "Concat", axis=1), PLAIN),
    "label float [n, 1]": (labelled(["n", 1], F), CLASSED),
    "label float [n]": (labelled(["n"], F), CLASSED),
    "label one-hot int64": (labelled(["n", 3], I64), CLASSED),
    "label one-hot bool": (labelled(["n", 3], TensorProto.BOOL), CLASSED),
    "label one-hot uint8": (labelled(["n", 3], TensorProto.UINT8), CLASSED),
    "label scalar": (labelled([], I64), CLASSED),
    "codes": (beside(["n", DIM]), ImportHints((-1, 1), latent="z", codes="c")),
    "truncation, a scalar": (beside([]), ImportHints((-1, 1), latent="z", truncation="c")),
    "truncation [1]": (beside([1]), ImportHints((-1, 1), latent="z", truncation="c")),
    "truncation [n, 1]": (beside(["n", 1]), ImportHints((-1, 1), latent="z", truncation="c")),
    "images [n, 60]": (replace(flat(["n", DIM]), sides=(ROWS,)), GREY),
    "images [n, h, w]": (replace(flat(["n", DIM]), sides=(HEIGHT, WIDTH)), PLAIN),
    "images [n, h*w*3]": (replace(flat(["n", DIM]), sides=(3 * ROWS,)), replace(GREY, layout="NHWC")),
    "images [n, h*w, 3]": (replace(flat(["n", DIM]), sides=(ROWS, 3)), GREY),
    "uniform": (flat(["n", DIM]), replace(PLAIN, latent_kind="uniform")),
    "sphere": (flat(["n", DIM]), replace(PLAIN, latent_kind="sphere")),
}


def original(model: onnx.ModelProto, inputs: dict, hints: ImportHints) -> np.ndarray:
    """Images in NumPy from what the file makes, a row at a time."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = []
    for row in range(len(inputs["z"])):
        z = inputs["z"][row].astype(np.float64)
        if hints.latent_kind == "uniform":
            z = np.array([math.erf(value / math.sqrt(2)) for value in z])
        if hints.latent_kind == "sphere":
            z = z / np.sqrt((z**2).sum())
        if not hints.truncation:
            z = z * inputs["truncation"][row]
        given = {"z": z, "c": 0.5}
        if hints.codes:
            given["c"] = inputs["codes"][row]
        if hints.truncation:
            given["c"] = inputs["truncation"][row, 0]
        if hints.label:
            given["y"] = inputs["label"][row, 0]
        feeds = {}
        for port in session.get_inputs():
            shape = [side if isinstance(side, int) else 1 for side in port.shape]
            kind = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": bool}.get(
                port.type, np.uint8
            )
            value = np.eye(3)[given["y"]] if port.name == "y" and shape[1:] == [3] else np.asarray(given[port.name])
            wanted = math.prod(shape)
            feeds[port.name] = (value if value.size == wanted else np.full(wanted, value)).reshape(shape).astype(kind)
        values = session.run(None, feeds)[0].reshape(-1).astype(np.float64)
        channels = values.size // ROWS
        last = hints.layout == "NHWC" or session.get_outputs()[0].shape[1:] == [ROWS, 3]
        picture = values.reshape(HEIGHT, WIDTH, channels) if last else values.reshape(channels, HEIGHT, WIDTH)
        images.append(picture if last else picture.transpose(1, 2, 0))
    return np.rint((np.clip(images, -1, 1) + 1) / 2 * 255).astype(np.uint8)


def save(model: onnx.ModelProto, folder):
    onnx.save(model, folder / "theirs.onnx")
    return folder / "theirs.onnx"


@pytest.mark.parametrize("case", CASES)
def test_shapes_of_inputs_and_pictures(case, tmp_path):
    made, hints = CASES[case]
    model = made.model()
    manifest = export_foreign(save(model, tmp_path), tmp_path / "bundle", hints)
    inputs = sample_inputs(manifest.spec, range(50, 55))
    inputs["truncation"] = np.linspace(1, 0.2, 5, dtype=np.float32)[:, None]
    expected = original(model, inputs, hints)
    found = run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), inputs)
    assert levels_apart(found, expected) <= 1
    assert expected.std() > 10
    assert not manifest.verification["notes"]


@pytest.mark.parametrize("kind", ["uniform", "sphere"])
def test_other_latents_keep_the_contract_s_seeds_and_other_precisions(kind, tmp_path):
    path = save(flat(["n", DIM]).model(), tmp_path)
    manifest = export_foreign(
        path, tmp_path / "bundle", replace(PLAIN, latent_kind=kind), options=ExportOptions(("fp16",))
    )
    assert manifest.spec.options["latent_kind"] == kind
    assert manifest.verification["precisions"]["fp16"]["failed"] is None
    verify_bundle(tmp_path / "bundle")


def normalising() -> Made:
    """Latents are scaled to length 1 inside, so 0 makes values that are no numbers."""
    nodes = [
        node("ReduceL2", ["z", "axis"], "length", keepdims=1),
        node("Div", ["z", "length"], "vector"),
    ]
    return Made([("z", F, ["n", DIM])], nodes, weights={"axis": np.array([1], np.int64)})


def test_truncation_that_does_nothing_is_no_promise(tmp_path):
    manifest = export_foreign(save(normalising().model(), tmp_path), tmp_path / "bundle", PLAIN)
    (note,) = manifest.verification["notes"]
    assert "truncation" in note
    assert note in (tmp_path / "bundle" / CARD).read_text()
    assert "ignored" in {port.name: port.meaning for port in input_ports(manifest.spec)}["truncation"]
    inputs = sample_inputs(manifest.spec, range(3))
    session = open_session((tmp_path / "bundle" / GRAPH).read_bytes())
    as_trained = run(session, inputs)
    assert as_trained.std() > 10
    assert np.array_equal(as_trained, run(session, inputs | {"truncation": np.zeros((3, 1), np.float32)}))


@pytest.mark.parametrize(
    ("end", "hints", "fits"),
    [
        ("Tanh", (0, 1), "-1,1"),
        ("Tanh", (0, 255), "-1,1"),
        ("Sigmoid", (0, 255), "0,1"),
        ("Sigmoid", (5, 6), "0,1"),
        ("Softsign", (0, 255), "-1,1"),
        ("Softsign", (4, 5), "-1,1"),
    ],
)
def test_ranges_that_make_no_picture_are_refused_and_the_one_that_fits_is_named(end, hints, fits, tmp_path):
    model = replace(flat(["n", DIM]), end=end).model()
    with pytest.raises(ExportError, match=f"say --range {fits}") as caught:
        export_foreign(save(model, tmp_path), tmp_path / "bundle", ImportHints(hints))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "bundle").exists()


def bytes_out() -> onnx.ModelProto:
    """Pictures as most tools want them: Clip to 0 … 255, then Cast to uint8."""
    model = replace(flat(["n", DIM]), end="Identity").model()
    held = {"scale": np.float32(40), "middle": np.float32(128), "low": np.float32(0), "high": np.float32(255)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in held.items())
    model.graph.node[-1].output[0] = "shaped"
    model.graph.node.extend(
        [
            node("Mul", ["shaped", "scale"], "wide"),
            node("Add", ["wide", "middle"], "moved"),
            node("Clip", ["moved", "low", "high"], "clipped"),
            node("Cast", ["clipped"], "out", to=TensorProto.UINT8),
        ]
    )
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    return model


def test_bytes_in_another_range_than_theirs(tmp_path):
    path = save(bytes_out(), tmp_path)
    for wrong in ((-1, 1), (0, 1)):
        with pytest.raises(ExportError, match="say --range 0,255"):
            export_foreign(path, tmp_path / "bundle", ImportHints(wrong))
    export_foreign(path, tmp_path / "bundle", ImportHints((0, 255)))


def test_a_range_that_only_pales_is_a_line(tmp_path):
    model = replace(flat(["n", DIM]), end="Sigmoid").model()
    manifest = export_foreign(save(model, tmp_path), tmp_path / "bundle", PLAIN)
    assert any("--range 0,1" in note for note in manifest.verification["notes"])


@pytest.mark.parametrize(
    ("sides", "hints", "says"),
    [
        ((ROWS,), PLAIN, "--size"),
        ((ROWS,), replace(PLAIN, size=(7, 7)), "not --size 7x7"),
        ((3 * ROWS,), GREY, "--layout"),
        ((3, HEIGHT, WIDTH), replace(PLAIN, size=(WIDTH, HEIGHT)), "not --size 6x10"),
    ],
)
def test_pictures_of_an_unknown_shape(sides, hints, says, tmp_path):
    model = replace(flat(["n", DIM]), sides=sides).model()
    with pytest.raises(ExportError, match=says):
        export_foreign(save(model, tmp_path), tmp_path / "bundle", hints)


@pytest.mark.parametrize(
    ("op", "attributes", "like"),
    [
        ("RandomNormalLike", {}, ["z"]),
        ("RandomUniformLike", {"low": -1.0, "high": 1.0}, ["z"]),
        ("RandomNormal", {"shape": [1, DIM], "scale": 0.5}, []),
        ("Bernoulli", {}, ["chances"]),
    ],
)
def test_random_numbers_inside_are_frozen_the_same_for_every_image(op, attributes, like, tmp_path):
    chances = node("Sigmoid", ["z"], "chances")
    nodes = [chances, node(op, like, "drawn", **attributes), node("Add", ["z", "drawn"], "vector")]
    made = Made([("z", F, ["n", DIM])], nodes)
    manifest = export_foreign(save(made.model(), tmp_path), tmp_path / "bundle", PLAIN)
    assert any("random" in note and "drawn" in note for note in manifest.verification["notes"])
    again = export_foreign(tmp_path / "theirs.onnx", tmp_path / "again", PLAIN)
    assert again.files[GRAPH] == manifest.files[GRAPH]

    # Of latents that are 0, only what was drawn is left: one draw, in every image, and not nothing.
    inputs = {"z": np.zeros((3, DIM), np.float32), "truncation": np.ones((3, 1), np.float32)}
    images = run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), inputs)
    assert levels_apart(images[1:], images[:-1]) == 0
    assert images.std() > 10
