"""Translators that any machine makes in milliseconds: each channel of the result is one of the source's, pixel by pixel
a whole number of times as large."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from core.bundle import GOLDEN, GRAPH, write_manifest
from core.contract import SOURCE, sample_inputs
from core.golden import Golden
from core.spec import GeneratorSpec, Provenance, SourceSpec

ORIGIN = Provenance(
    data_name="Größe",
    data_licence="CC-BY-SA-4.0",
    data_attribution="by Zoë",
    source_licence="CC0-1.0",
    source_attribution="by Bo",
)
SWAPPED = (2, 1, 0, 3)


def translator_spec(height=8, width=12, channels=4, times=1, gives=4, **of_source) -> GeneratorSpec:
    """One whose sources are of that size, and whose results ``times`` as large."""
    source = SourceSpec(height, width, channels, **of_source)
    return GeneratorSpec(
        "unet", height * times, width * times, gives, 0, kind="image", source=source, provenance=ORIGIN
    )


SPEC = translator_spec()


def translated(pictures: np.ndarray, spec: GeneratorSpec, taken=SWAPPED) -> np.ndarray:
    """What the graph computes, in NumPy: ``taken`` are the source's channels that the result's are."""
    times = spec.height // spec.source.height
    return pictures[..., list(taken)].repeat(times, axis=1).repeat(times, axis=2)


def make_translator(path: Path, spec: GeneratorSpec = SPEC, taken=SWAPPED, seeds=range(5)) -> Path:
    """A bundle of it."""
    path.mkdir(parents=True)
    (path / GRAPH).write_bytes(make_graph(spec, taken).SerializeToString())
    inputs = sample_inputs(spec, seeds)
    (path / GOLDEN).write_bytes(Golden(inputs, translated(inputs[SOURCE], spec, taken)).to_bytes())
    write_manifest(path, spec=spec, opset=18)
    return path


def make_graph(spec: GeneratorSpec, taken):
    times = spec.height // spec.source.height
    constants = {
        "taken": np.array(taken, np.int64),
        "times": np.array([1, times, times, 1], np.float32),
    }
    nodes = [
        helper.make_node("Gather", [SOURCE, "taken"], ["swapped"], axis=3),
        helper.make_node("Resize", ["swapped", "", "times"], ["image"], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric"),
    ]  # fmt: skip
    sides = ["batch", spec.source.height, spec.source.width, spec.source.channels]
    graph = helper.make_graph(
        nodes,
        "translator",
        [helper.make_tensor_value_info(SOURCE, TensorProto.UINT8, sides)],
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", spec.height, spec.width, spec.channels])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
