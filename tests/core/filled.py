"""Networks with values that show, for tests that compute a whole forward pass again from what is saved."""

import math

import torch
from torch import Tensor, nn

from core.networks.layers import EqualisedConv2d, EqualisedLinear


@torch.no_grad()
def filled(network: nn.Module) -> dict[str, Tensor]:
    """Random values for every number ``network`` saves, so that none is 0 or 1 by chance; in evaluation, by name.

    As large as keeps the variance from layer to layer, or the first layers would hardly show in what the last one
    gives. The dict is for the reference to take from: what is left in it at the end was never used.
    """
    torch.manual_seed(0)
    network.eval()
    scaled_in_use = {
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, EqualisedLinear | EqualisedConv2d)
    }
    saved = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    for name, value in saved.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        elif value.ndim < 2:
            value.normal_(0.0, 0.5)
        else:
            value.normal_(0.0, 1.0 if name in scaled_in_use else 1 / math.sqrt(value[0].numel()))
    saved.pop("latent_mean", None)  # only where there is a truncation
    return saved
