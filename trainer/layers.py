"""A network layer by layer: what ``train --dry-run`` prints."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layer:
    """One leaf module: its name in the network, its kind, the shape it gives for a batch of 1, its parameters."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def layers(network: nn.Module, *example: Tensor) -> list[Layer]:
    """The layers of ``network`` in the order a batch passes them, found by passing ``example`` through."""
    rows: list[Layer] = []
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        shape = tuple(output.shape) if isinstance(output, Tensor) else ()
        count = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        rows.append(Layer(names[module], type(module).__name__, shape, count))

    leaves = [module for module in network.modules() if not any(True for _ in module.children())]
    handles = [leaf.register_forward_hook(note) for leaf in leaves]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(*example)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return rows
