"""The graph that ships is optimised before it leaves: small rewrites, each exact but for rounding, in turn."""

import logging
from collections.abc import Callable, Iterable

import onnx_ir as ir
from onnx import ModelProto
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from export.graphs.rewrites.affine import affine_output, joined_terms, scaled_input
from export.graphs.rewrites.dense import constant_first_layer, dense_first_layer
from export.graphs.rewrites.graph import Rewrite, apply
from export.graphs.rewrites.image import beside_the_source, four_at_a_time
from export.graphs.rewrites.pointwise import narrowed_residual, styled_image
from export.graphs.rewrites.resampling import mixed_before, scaled_after
from export.graphs.rewrites.subpixel import ACTIVATIONS, subpixel, transposed_from_nearest
from export.graphs.rewrites.tidying import tidy

logger = logging.getLogger(__name__)

Pass = Callable[[ir.Model], int]  # changes a graph, and says in how many places


def _at(rewrite: Rewrite, *kinds: str) -> Pass:
    """The pass that tries ``rewrite`` at every node of some operators."""
    return lambda model: sum(apply(model, kind, rewrite) for kind in kinds)


# In the order in which they are tried.
REWRITES: dict[str, Pass] = {
    "a factor before a linear layer is in its weights": _at(scaled_input, "Gemm"),
    "a number after a linear layer is in its weights": _at(affine_output, "Add", "Sub", "Mul"),
    "bias and fixed noise are one term": _at(joined_terms, "Add"),
    "the first layer is a matrix product": _at(dense_first_layer, "ConvTranspose"),
    "what the constant input gives is made once": _at(constant_first_layer, "Conv"),
    "nearest neighbours are part of the convolution after": _at(transposed_from_nearest, "Conv"),
    "doubling is by sub-pixel convolution": _at(subpixel, *ACTIVATIONS, "ConvTranspose"),
    "a factor by channel is applied after doubling": _at(scaled_after, "Resize"),
    "an image is the product with styled weights": _at(styled_image, "Conv"),
    "no wide sum is made to be narrowed": _at(narrowed_residual, "Conv"),
    "channels are mixed before doubling": _at(mixed_before, "Conv"),
    "an image is made four pixels at a time": _at(four_at_a_time, "Conv"),
    "maps and the source beside them are not joined": _at(beside_the_source, "Conv"),
}


def optimised(model: ModelProto, rewrites: Iterable[str] = tuple(REWRITES)) -> ModelProto:
    """``model`` made quicker: the same inputs, outputs and metadata, and the same images to 1 level of 255.

    A pure function, and a deterministic one: what is rewritten depends on the graph's shapes alone. ``rewrites``
    names those to use, to see what each is worth.
    """
    graph = ir.from_proto(model)
    tidy(graph)
    for name in rewrites:
        if places := REWRITES[name](graph):
            logger.debug("%s: %d places", name, places)
            RemoveUnusedNodesPass()(graph)  # the next ones ask who uses a value,
            ShapeInferencePass()(graph)  # and for the shapes of new ones
    tidy(graph)
    return ir.to_proto(graph)
