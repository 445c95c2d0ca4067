"""EfficientNet-Lite in ONNX Runtime, which on a CPU looks at four times as many pictures as PyTorch (RESULTS.md).

The graph is written down layer by layer, with every norm folded into its convolution; nothing is traced.
"""

from collections.abc import Callable

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from core.onnx.session import open_session, run
from trainer.metrics.efficientnet import DIM, MEAN, SCALE, Block, EfficientNetLite, folded, padding

_OPSET, _IR = 18, 8


def in_onnx_runtime(network: EfficientNetLite) -> Callable[[Tensor], Tensor]:
    """RGB ``(n, 3, side, side)`` in 0 … 255 to features ``(n, 1280)``, as ``network`` has them to within rounding."""
    session = open_session(graph_of(network).SerializeToString(), threads=torch.get_num_threads())

    def features(images: Tensor) -> Tensor:
        return torch.from_numpy(run(session, {"images": images.contiguous().numpy()}, "features"))

    return features


def graph_of(network: EfficientNetLite) -> onnx.ModelProto:
    """The ONNX graph: ``images`` FP32 ``[N, 3, side, side]`` to ``features`` FP32 ``[N, 1280]``."""
    side, graph = network.lite.side, _Graph()

    # Stem
    x = graph.add("Sub", "images", graph.constant(np.float32(MEAN)))
    x = graph.add("Div", x, graph.constant(np.float32(SCALE)))
    x, side = graph.convolve(x, network._conv_stem, network._bn0, side, cut=True)

    # Blocks
    for block in network._blocks:
        assert isinstance(block, Block)
        before = x
        for convolution, norm, cut in block.layers():
            x, side = graph.convolve(x, convolution, norm, side, cut)
        x = graph.add("Add", before, x) if block.skips else x

    # Head
    x, _ = graph.convolve(x, network._conv_head, network._bn1, side, cut=True)
    x = graph.add("GlobalAveragePool", x)
    graph.nodes.append(helper.make_node("Flatten", [x], ["features"], axis=1))

    shape = ["n", 3, network.lite.side, network.lite.side]
    takes = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)
    gives = helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["n", DIM])
    made = helper.make_graph(graph.nodes, network.lite.name, [takes], [gives], graph.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)


class _Graph:
    """Nodes and weights as they come, each under a number."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        """The name of what a new node gives."""
        name = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, value: NDArray[np.float32] | np.float32) -> str:
        """The name of a weight."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def convolve(self, x: str, convolution: nn.Conv2d, norm: nn.BatchNorm2d, side: int, cut: bool) -> tuple[str, int]:
        """A convolution with its norm inside, and a ReLU6 if ``cut``; and the side of what it gives."""
        weight, bias = folded(convolution, norm)
        stride, kernel = convolution.stride[0], convolution.kernel_size[0]
        before, after = padding(side, kernel, stride)
        weights = self.constant(weight.numpy()), self.constant(bias.numpy())
        pads = [before, before, after, after]
        y = self.add("Conv", x, *weights, strides=[stride] * 2, pads=pads, group=convolution.groups)
        if cut:
            y = self.add("Clip", y, self.constant(np.float32(0)), self.constant(np.float32(6)))
        return y, -(-side // stride)
