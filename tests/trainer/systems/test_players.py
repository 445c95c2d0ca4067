"""What systems hand the loop."""

import pytest
import torch
from torch import nn

from trainer.systems.players import Batch, Player, frozen


def test_frozen_networks_get_no_gradients_in_the_block_and_learn_again_after_it_whatever_happens() -> None:
    ours, theirs, other = (nn.Linear(2, 1, bias=False) for _ in range(3))
    with frozen(ours, theirs):
        assert [network.weight.requires_grad for network in (ours, theirs, other)] == [False, False, True]
        (other(torch.ones(1, 2)) + ours(torch.ones(1, 2)) + theirs(torch.ones(1, 2))).sum().backward()
    assert ours.weight.grad is theirs.weight.grad is None
    assert torch.equal(other.weight.grad, torch.ones(1, 2))
    with pytest.raises(ValueError, match="any"), frozen(ours, theirs):
        raise ValueError("any")
    assert all(network.weight.requires_grad for network in (ours, theirs, other))


def test_a_player_moves_in_every_round_unless_it_says_otherwise() -> None:
    def loss(batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return batch.images.sum(), {}

    optimiser = torch.optim.SGD(nn.Linear(1, 1).parameters())
    assert Player("any", optimiser, loss).every == 1
