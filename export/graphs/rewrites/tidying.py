"""Before and after the rewrites: constants folded, no-ops gone, nothing twice, nothing unused. All by onnxscript."""

import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript import optimizer
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules import common as rules

_LARGEST = 2**31  # bytes of a constant: a limit that no weight meets, so that sums over weights are folded too
_MOST_ROUNDS = 4  # one changes all that ours have to change, the next sees that nothing is left

_RULES = (
    rules.fuse_batchnorm_into_conv_rule,
    rules.fuse_batchnorm_into_conv_transpose_rule,
    rules.fuse_batchnorm_into_gemm_rule,
    rules.mul_by_1_rule,
    rules.sub_0_rule,
    rules.div_by_1_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.materialize_reshape_shape_rule,
    rules.reshape_reshape_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.cast_cast_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.slice_split_rule,
    rules.successive_clip_rule,
    *rules.expand_before_binary_op_rules,
    rules.remove_optional_bias_from_conv_rule,
    rules.remove_optional_bias_from_conv_transpose_rule,
    rules.remove_optional_bias_from_gemm_rule,
)


def tidy(model: ir.Model) -> None:
    """Fold what is constant and drop what does nothing, until nothing changes."""
    for _ in range(_MOST_ROUNDS):
        folded = optimizer.fold_constants(
            model, onnx_shape_inference=True, input_size_limit=_LARGEST, output_size_limit=_LARGEST
        )
        rewritten = RewritePass(_RULES)(model)
        common.RemoveUnusedNodesPass()(model)
        if not folded.modified and not rewritten.modified:
            break

    # Constants are weights, and nothing is there twice, unused or without a name
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.DeduplicateInitializersPass()(model)
    common.IdentityEliminationPass()(model)
    common.RemoveUnusedNodesPass()(model)
    common.RemoveUnusedOpsetsPass()(model)
    common.OutputFixPass()(model)
    common.NameFixPass()(model)
    common.ShapeInferencePass()(model)
