"""Translators from elsewhere, in every form that pictures in and out may have, against what their formula gives."""

import shlex
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from cli import app
from core.bundle import CARD, GOLDEN, GRAPH
from core.contract import SOURCE, sample_inputs
from core.difference import levels_apart
from core.errors import ExportError
from core.examples import pictures
from core.golden import Golden
from core.onnx.session import open_session, run
from core.spec import SourceSpec
from export.bundles.options import ExportOptions
from export.bundles.verify import verify_bundle
from export.foreign.exporting import export_foreign
from export.foreign.hints import ImportHints
from export.foreign.inspection import inspect
from export.targets.runtimes import TARGETS
from tests.export.tensorrt.test_tensorrt import GATE

TYPES = {"float": TensorProto.FLOAT, "half": TensorProto.FLOAT16, "bytes": TensorProto.UINT8}


@dataclass(frozen=True)
class Mixer:
    """``tanh`` of the channels mixed by a matrix, twice as large if ``doubled``: of pictures whose levels 0 and 255 are
    the ends of ``takes``, to images whose levels are those of ``gives``."""

    takes: tuple[float, float] = (-1.0, 1.0)
    gives: tuple[float, float] = (-1.0, 1.0)
    channels: tuple[int, int] = (3, 3)
    size: tuple[int, int] = (12, 20)
    layout: str = "NCHW"
    kind: str = "float"
    made: str = "float"
    batch: int | None = None
    open: bool = False
    doubled: bool = False
    grouped: bool = False  # the batch is written into a Reshape
    dropout: bool | None = None  # whether it drops
    flag: bool = False
    opset: int = 17

    @property
    def matrix(self) -> np.ndarray:
        return np.random.RandomState(3).standard_normal(self.channels).astype(np.float32)

    def sides(self, channels: int, times: int = 1) -> list[Any]:
        size: list[Any] = ["h", "w"] if self.open else [times * side for side in self.size]
        return [channels, *size] if self.layout == "NCHW" else [*size, channels]

    def model(self) -> onnx.ModelProto:
        (low, high), (least, most) = self.takes, self.gives
        kind = TensorProto.FLOAT16 if self.kind == "half" else TensorProto.FLOAT
        number = np.float16 if self.kind == "half" else np.float32
        constants: dict[str, Any] = {
            "w": self.matrix.T[:, :, None, None].astype(number),
            "middle": number((low + high) / 2),
            "reach": number((high - low) / 2),
            "half": number((most - least) / 2),
            "centre": number((most + least) / 2),
            "yes": np.bool_(bool(self.dropout)),
            "ratio": np.float32(0.5),
            "scales": np.array([1, 1, 2, 2], np.float32),
            "shape": np.array([self.batch or 0, -1, *self.size], np.int64),
        }
        nodes, last = [], "picture"

        def step(operator: str, *others: str, **attributes: Any) -> None:
            nonlocal last
            made = f"v{len(nodes)}"
            nodes.append(helper.make_node(operator, [last, *others], [made], name=f"{operator}_{made}", **attributes))
            last = made

        if self.layout == "NHWC":
            step("Transpose", perm=[0, 3, 1, 2])
        if self.kind == "bytes":
            step("Cast", to=TensorProto.FLOAT)
        step("Sub", "middle")
        step("Div", "reach")
        step("Conv", "w")
        if self.dropout is not None:
            step("Dropout", "ratio", "yes")
        step("Tanh")
        if self.grouped:
            step("Reshape", "shape")
        if self.doubled:
            step("Resize", "", "scales", mode="nearest")
        step("Mul", "half")
        step("Add", "centre")
        if self.layout == "NHWC":
            step("Transpose", perm=[0, 2, 3, 1])
        if self.made == "bytes":
            step("Round")
            step("Cast", to=TensorProto.UINT8)
        n = self.batch or "n"
        times, out = 1 + self.doubled, TensorProto.UINT8 if self.made == "bytes" else kind
        given = [helper.make_tensor_value_info("picture", TYPES[self.kind], [n, *self.sides(self.channels[0])])]
        if self.flag:
            given.append(helper.make_tensor_value_info("strength", kind, [1]))
            nodes.append(helper.make_node("Mul", [last, "strength"], ["strong"]))
            last = "strong"
        graph = helper.make_graph(
            nodes,
            "mixer",
            given,
            [helper.make_tensor_value_info(last, out, [n, *self.sides(self.channels[1], times)])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def levels(self, images: np.ndarray) -> np.ndarray:
        """The images ``(n, h, w, c)`` in double precision, before they are rounded."""
        unit = images.astype(np.float64) / 255
        mixed = np.tanh((2 * unit - 1) @ self.matrix.astype(np.float64))
        levels = (mixed + 1) / 2 * 255
        if self.channels[1] == 4:
            levels[..., :3] *= np.clip(2 * levels[..., 3:] - 1, 0, 1)  # colour that nobody sees
        return levels.repeat(1 + self.doubled, axis=1).repeat(1 + self.doubled, axis=2)

    def save(self, folder) -> Any:
        (folder / "theirs.onnx").write_bytes(self.model().SerializeToString())
        return folder / "theirs.onnx"


PLAIN, BYTES, UNIT = ImportHints((-1, 1)), ImportHints((0, 255)), ImportHints((0, 1))
VARIANTS = {
    "as CycleGAN has it": (Mixer(), PLAIN),
    "0 to 1": (Mixer((0, 1), (0, 1)), UNIT),
    "0 to 255 both, as style transfer has it": (Mixer((0, 255), (0, 255)), BYTES),
    "0 to 255 in, found by looking": (Mixer((0, 255), (-1, 1)), PLAIN),
    "0 to 1 in, told": (Mixer((0, 1), (-1, 1)), replace(PLAIN, source_range=(0, 1))),
    "channels last": (Mixer(layout="NHWC"), PLAIN),
    "bytes, channels last": (Mixer((0, 255), (0, 255), layout="NHWC", kind="bytes", made="bytes"), BYTES),
    "bytes in, channels first": (Mixer((0, 255), kind="bytes"), PLAIN),
    "half precision": (Mixer(kind="half"), PLAIN),
    "grey to RGB": (Mixer(channels=(1, 3)), PLAIN),
    "RGB to RGBA": (Mixer(channels=(3, 4)), PLAIN),
    "RGBA to RGBA": (Mixer(channels=(4, 4)), replace(PLAIN, source="picture")),
    "RGBA bytes to grey": (Mixer((0, 255), channels=(4, 1), kind="bytes"), PLAIN),
    "twice as large": (Mixer(doubled=True), PLAIN),
    "batches of 1": (Mixer(batch=1, grouped=True), PLAIN),
    "batches of 4": (Mixer(batch=4, grouped=True), PLAIN),
    "any size": (Mixer(open=True, doubled=True), replace(PLAIN, source_size=(12, 20))),
    "dropout that drops nothing": (Mixer(dropout=False), PLAIN),
    "another input": (Mixer(flag=True), replace(PLAIN, source="picture", fixed={"strength": "1"})),
    "opset 11": (Mixer(opset=11), PLAIN),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_keeps_the_contract_and_makes_the_images_of_its_formula(variant, tmp_path):
    mixer, hints = VARIANTS[variant]
    manifest = export_foreign(mixer.save(tmp_path), tmp_path / "bundle", hints)
    spec, (height, width) = manifest.spec, mixer.size
    assert spec.source == SourceSpec(height, width, mixer.channels[0])
    times = 1 + mixer.doubled
    assert (spec.height, spec.width, spec.channels) == (times * height, times * width, mixer.channels[1])
    inputs = sample_inputs(spec, range(50, 57))
    found = run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), inputs)
    assert np.abs(found - mixer.levels(inputs[SOURCE])).max() < (0.51 if mixer.kind != "half" else 1.5)
    assert {node.op_type for node in onnx.load(tmp_path / "bundle" / GRAPH).graph.node}.isdisjoint({"Dropout"})
    verify_bundle(tmp_path / "bundle")


def test_colour_that_was_multiplied_by_alpha_is_so_on_both_sides(tmp_path):
    """The identity then is the identity, where there is alpha enough to see a colour."""
    mixer = Mixer((0, 1), (0, 1), channels=(4, 4))
    model = mixer.model()
    nodes = [helper.make_node("Identity", ["picture"], [model.graph.output[0].name])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "theirs.onnx")
    hints = replace(UNIT, source="picture", premultiplied=True)
    export_foreign(tmp_path / "theirs.onnx", tmp_path / "bundle", hints)
    given = pictures(SourceSpec(12, 20, 4), range(3))
    made = run(open_session((tmp_path / "bundle" / GRAPH).read_bytes()), {SOURCE: given})
    seen = given[..., 3] > 1
    assert seen.any() and levels_apart(made[seen][None], given[seen][None]) <= 1


def test_the_bundle_says_what_it_takes_and_what_nobody_could_check(tmp_path):
    how = {"licence": "CC-BY-4.0", "name": "theirs", "options": ExportOptions(("fp16",), targets=tuple(TARGETS))}
    manifest = export_foreign(Mixer((0, 255)).save(tmp_path), tmp_path / "bundle", PLAIN, **how)
    golden = Golden.read(tmp_path / "bundle" / GOLDEN)
    assert np.array_equal(golden.inputs[SOURCE], pictures(SourceSpec(12, 20, 3), range(16)))
    assert any("0 to 255 are levels 0 to 255 of a source" in line for line in manifest.verification["not_checked"])
    assert manifest.spec.options["source_range"] == [0, 255]
    assert manifest.verification["precisions"]["fp16"]["written"]
    card = (tmp_path / "bundle" / CARD).read_text()
    assert "of RGB pictures 12 pixels high, 20 wide" in card and "| source licence | CC-BY-4.0 |" in card


@GATE
@pytest.mark.parametrize("variant", ["bytes, channels last", "bytes in, channels first", "RGB to RGBA"])
def test_it_builds_with_tensorrt(variant, tmp_path):
    mixer, hints = VARIANTS[variant]
    manifest = export_foreign(mixer.save(tmp_path), tmp_path / "bundle", hints, options=ExportOptions(tensorrt=True))
    assert set(manifest.verification["tensorrt"]["engines"]) == {"fp32", "fp16"}


REFUSED = {
    "may be of any size, and what ships has one: say --source-size": (Mixer(open=True), PLAIN),
    "is not of --source-size 24x12": (Mixer(), replace(PLAIN, source_size=(12, 24))),
    "is the input 'picture' float .* a picture or a latent. Say --source picture or --latent picture": (
        Mixer(channels=(4, 4)),
        PLAIN,
    ),
    "say --source-layout": (Mixer(size=(12, 3)), replace(PLAIN, source="picture")),
    "a latent or a picture: say --latent or --source, not both": (
        Mixer(),
        replace(PLAIN, latent="picture", source="picture"),
    ),
    "takes nothing beside: omit --codes": (Mixer(flag=True), replace(PLAIN, source="picture", codes="strength")),
    "what is the input 'strength' .* Say --fix strength=VALUE": (Mixer(flag=True), replace(PLAIN, source="picture")),
    "--source nobody: the graph has no such, only 'picture'": (Mixer(), replace(PLAIN, source="nobody")),
    "is in training mode": (Mixer(dropout=True), PLAIN),
    "has 2 channels, not 1, 3 or 4": (Mixer(channels=(2, 3)), replace(PLAIN, source="picture", source_layout="NCHW")),
}


@pytest.mark.parametrize("says", REFUSED)
def test_what_does_not_fit_is_refused_with_what_to_do(says, tmp_path):
    mixer, hints = REFUSED[says]
    with pytest.raises(ExportError, match=says) as caught:
        export_foreign(mixer.save(tmp_path), tmp_path / "bundle", hints)
    assert "\n" not in str(caught.value) and not (tmp_path / "bundle").exists()


LIKELY = {
    "as CycleGAN has it": "--range -1,1",
    "0 to 255 both, as style transfer has it": "--range 0,255",
    "0 to 255 in, found by looking": "--range -1,1 --source-range 0,255",
    "bytes, channels last": "--range 0,255",
    "RGBA to RGBA": "--range -1,1 --source picture",
    "any size": "--range -1,1 --source-size WIDTHxHEIGHT",
    "another input": "--range -1,1 --source picture --fix strength=VALUE",
}


@pytest.mark.parametrize("variant", LIKELY)
def test_inspect_prints_the_command_that_works(variant, tmp_path, monkeypatch):
    mixer, _ = VARIANTS[variant]
    mixer.save(tmp_path)
    monkeypatch.chdir(tmp_path)
    (found,) = inspect(tmp_path / "theirs.onnx")
    assert found.command is not None
    words = shlex.split(found.command.replace(str(tmp_path), "."))
    assert shlex.join(words[4:-2]) == LIKELY[variant]
    typed = [word.replace("WIDTHxHEIGHT", "20x12").replace("=VALUE", "=1") for word in words[1:]]
    done = CliRunner().invoke(app, typed)
    assert done.exit_code == 0, done.output
