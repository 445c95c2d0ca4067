"""What moves the weights: one function each. Learning rates and betas are set in every round by the system.

``beta1`` is how much of the last step goes into the next one, ``beta2`` how much of the last mean square is kept.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import Optimizer

OptimiserFactory = Callable[[Iterable[nn.Parameter], float, float], Optimizer]


def adam(parameters: Iterable[nn.Parameter], beta1: float, beta2: float) -> Optimizer:
    """Kingma and Ba 2015 (arXiv 1412.6980)."""
    return torch.optim.Adam(parameters, betas=(beta1, beta2), fused=True)


def rmsprop(parameters: Iterable[nn.Parameter], beta1: float, beta2: float) -> Optimizer:
    """Tieleman and Hinton 2012 (lecture 6.5 of "Neural Networks for Machine Learning"); ``beta2`` is its decay."""
    return torch.optim.RMSprop(parameters, alpha=beta2, momentum=beta1)


def sgd(parameters: Iterable[nn.Parameter], beta1: float, _beta2: float) -> Optimizer:
    """Robbins and Monro 1951, with momentum ``beta1``."""
    return torch.optim.SGD(parameters, momentum=beta1, fused=True)


OPTIMISERS: dict[str, OptimiserFactory] = {"adam": adam, "rmsprop": rmsprop, "sgd": sgd}


def set_rates(optimiser: Optimizer, rate: float, beta1: float, beta2: float) -> None:
    """Move an optimiser's learning rate and betas, whatever it calls them."""
    settings = {"lr": rate, "betas": (beta1, beta2), "alpha": beta2, "momentum": beta1}
    for group in optimiser.param_groups:
        group.update({name: value for name, value in settings.items() if name in group})
