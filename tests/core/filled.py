"""Networks with values that show, for tests that compute a whole forward pass again from what is saved."""

import math

import torch
from torch import Tensor, nn


@torch.no_grad()
def filled(network: nn.Module) -> dict[str, Tensor]:
    """Random values for every number ``network`` saves, so that none is 0 or 1 by chance; in evaluation, by name.

    The dict is for the reference to take from: what is left in it at the end was never used.
    """
    torch.manual_seed(0)
    network.eval()
    saved = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    for name, value in saved.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        else:
            value.normal_(0.0, 1 / math.sqrt(value[0].numel()) if value.ndim > 1 else 1.0)
    saved.pop("latent_mean", None)  # only where there is a truncation
    return saved
