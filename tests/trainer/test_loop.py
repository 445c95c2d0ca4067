"""One round and many: who moves when, on which random numbers, and where the average goes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.networks import build_generator
from core.networks.base import Generator
from core.spec import GeneratorSpec
from trainer.loop import Hook, Meter, Training, move, play, round_seed, run
from trainer.optimisation import ema
from trainer.settings.config import TrainConfig
from trainer.systems.players import Batch, Player, Stats

CPU = torch.device("cpu")
SPEC = GeneratorSpec("mlp", 8, 8, 1, 4)
LENGTHS = {"kimg": 0.1, "batch": 8, "ema_kimg": 0.04, "ema_ramp": 0.5, "seed": 5}


class Counting:
    """A system of three players, whose generator's weights all grow by its learning rate in each of its moves."""

    def __init__(self) -> None:
        self.spec, self.generator = SPEC, build_generator(SPEC)
        self.generators = {"generator": self.generator}
        self.networks = {"generator": self.generator}
        self.inactive: frozenset[str] = frozenset()
        self.moves: list[tuple[str, int, float]] = []  # who, in which round, and the next random number
        self.begun: list[int] = []
        self.players = [self.player("first"), self.player("third", every=3), self.player("last")]

    def player(self, name: str, every: int = 1) -> Player:
        def loss(batch: Batch) -> tuple[Tensor, Stats]:
            self.moves.append((name, batch.step, torch.rand(()).item()))
            total = -torch.stack([p.sum() for p in self.generator.parameters()]).sum()
            return total, {"step": torch.tensor(float(batch.step))}

        return Player(name, torch.optim.SGD(self.generator.parameters(), lr=0.5), loss, every)

    def begin(self, images_seen: int) -> int:
        self.begun.append(images_seen)
        return 8 if images_seen < 24 else 4

    def finished(self, average: Generator, images_seen: int) -> dict[str, Generator]:
        return {}


class Reading:
    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def read(self, images_seen: int, count: int, step: int) -> Batch:
        self.asked.append((images_seen, count, step))
        return Batch(torch.zeros(count, 1, 8, 8), None, step)


def training_of(**changes: object) -> Training:
    system = Counting()
    return Training(TrainConfig("x", **{**LENGTHS, **changes}), system, ema.averages_of(system.generators), CPU)


def test_players_move_in_order_each_in_its_rounds_unless_it_rests() -> None:
    training = training_of()
    for step in range(4):
        training.system.inactive = frozenset({"first"}) if step == 2 else frozenset()
        play(training, Batch(torch.zeros(8, 1, 8, 8), None, step))
    moved = [(name, step) for name, step, _ in training.system.moves]
    rounds = [["first", "third", "last"], ["first", "last"], ["last"], ["first", "third", "last"]]
    assert moved == [(name, step) for step, names in enumerate(rounds) for name in names]
    assert (training.images_seen, training.rounds) == (32, 4)


def test_a_round_s_random_numbers_are_those_of_the_seed_and_the_images_seen() -> None:
    training = training_of()
    training.images_seen = 77
    play(training, Batch(torch.zeros(8, 1, 8, 8), None, 0))
    torch.manual_seed(round_seed(5, 77))
    assert [number for *_, number in training.system.moves] == [torch.rand(()).item() for _ in range(3)]


def test_seeds_of_rounds_are_those_of_every_release() -> None:
    found = [round_seed(*pair) for pair in ((0, 0), (0, 64), (64, 0))]
    assert found == [15793235383387715774, 15284237626711964920, 16616890131024799951]


@pytest.mark.parametrize(("seen", "memory"), [(0, 0.5 * 8), (24, 0.5 * 32), (992, 40)])
def test_the_average_follows_by_the_half_life_or_half_of_what_was_seen(seen: int, memory: float) -> None:
    training = training_of()
    training.images_seen = seen
    before = [p.clone() for p in training.average.parameters()]
    play(training, Batch(torch.zeros(8, 1, 8, 8), None, 1))
    keep = 0.5 ** (8 / memory)
    for old, average, now in zip(
        before, training.average.parameters(), training.system.generator.parameters(), strict=True
    ):
        torch.testing.assert_close(now - old, torch.ones_like(old))  # two players, each by 0.5
        torch.testing.assert_close(average, keep * old + (1 - keep) * now)


def test_a_move_is_one_step_against_its_own_gradient_and_is_noted() -> None:
    training = training_of()
    (player, *_) = training.system.players
    for parameter in training.system.generator.parameters():
        parameter.grad = torch.full_like(parameter, 9.0)  # of somebody else's loss
    before = [p.detach().clone() for p in training.system.generator.parameters()]
    move(player, Batch(torch.zeros(8, 1, 8, 8), None, 6), training)
    for old, now in zip(before, training.system.generator.parameters(), strict=True):
        torch.testing.assert_close(now, old + 0.5)
    total = -sum(p.sum().item() for p in before)
    assert training.meter.read() == pytest.approx({"first/loss": total, "first/step": 6.0}, rel=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_losses_are_computed_in_the_config_s_precision(precision: str) -> None:
    training, kinds = training_of(precision=precision), []

    def loss(batch: Batch) -> tuple[Tensor, Stats]:
        product = torch.ones(2, 2) @ torch.ones(2, 2, requires_grad=True)
        kinds.append(product.dtype)
        return product.float().sum(), {}

    weights = training.system.generator.parameters()
    move(Player("any", torch.optim.SGD(weights, lr=0.1), loss), Batch(torch.zeros(1), None, 0), training)
    assert kinds == [torch.float32 if precision == "fp32" else torch.bfloat16]


def test_a_meter_gives_means_since_it_was_read() -> None:
    meter = Meter()
    for value in (1.0, 2.0, 6.0):
        meter.add("a", torch.tensor(value, requires_grad=True))
    meter.add("b", torch.tensor(0.5, dtype=torch.bfloat16))
    assert meter.read() == {"a": 3.0, "b": 0.5}
    assert meter.read() == {}
    for value in (256.0, 1.0):  # bfloat16 has no 257
        meter.add("b", torch.tensor(value, dtype=torch.bfloat16))
    assert meter.read() == {"b": 128.5}


@pytest.mark.parametrize(
    ("before", "after", "due"),
    [(0, 9, False), (0, 10, True), (9, 10, True), (10, 11, False), (10, 19, False), (19, 40, True), (10, 20, True)],
)
def test_a_hook_is_due_when_a_multiple_is_reached(before: int, after: int, due: bool) -> None:
    assert Hook(10, print).due(before, after) == due


def recorder(calls: list[tuple[str, int]], name: str) -> Callable[[Training], None]:
    return lambda training: calls.append((name, training.images_seen))


def test_a_run_reads_what_its_system_asks_for_and_calls_hooks_when_due_and_at_the_end() -> None:
    training, stream, calls = training_of(kimg=0.034), Reading(), []
    hooks = [Hook(16, recorder(calls, "a")), Hook(1000, recorder(calls, "b"))]
    assert run(training, stream, hooks, lambda: False)
    assert stream.asked == [(0, 8, 0), (8, 8, 1), (16, 8, 2), (24, 4, 3), (28, 4, 4), (32, 4, 5)]
    assert training.system.begun == [0, 8, 16, 24, 28, 32]
    assert calls == [("a", 16), ("a", 32), ("a", 36), ("b", 36)]
    calls.clear()
    run(training_of(kimg=0.024), Reading(), hooks, lambda: False)  # a length that its last round ends with
    assert calls == [("a", 16), ("a", 24), ("b", 24)]


def test_a_run_that_is_stopped_says_so_and_plays_no_more() -> None:
    training, stream = training_of(), Reading()
    assert not run(training, stream, [], lambda: len(stream.asked) == 2)
    assert (training.images_seen, training.rounds) == (16, 2)
