"""The metrics against closed forms, and against torchmetrics and slow loops that know nothing of them."""

from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from core.errors import DataError
from trainer.metrics.frechet import frechet_between, frechet_distance
from trainer.metrics.kid import kid, kid_over_subsets
from trainer.metrics.memorisation import find_copies
from trainer.metrics.precision_recall import distinct, neighbours, precision_recall


def draw(count: int, dimensions: int, seed: int, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    values = np.random.RandomState(seed).normal(mean, deviation, (count, dimensions))
    return torch.from_numpy(values.astype(np.float32))


def slow_kid(x: np.ndarray, y: np.ndarray) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a.astype(np.float64) @ b.astype(np.float64)) / len(a) + 1) ** 3

    def own(s: np.ndarray) -> float:
        return float(np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]))

    return own(x) + own(y) - 2 * float(np.mean([k(a, b) for a in x for b in y]))


def test_kid_agrees_with_torchmetrics() -> None:
    for seed in range(3):
        fakes, reals = draw(300, 64, seed, mean=0.3), draw(300, 64, seed + 100, deviation=1.2)
        assert kid(fakes, reals) == pytest.approx(float(poly_mmd(reals.double(), fakes.double())), abs=1e-6, rel=1e-6)


def test_kid_of_sets_of_different_sizes_agrees_with_a_slow_loop() -> None:
    fakes, reals = draw(17, 5, 0, mean=0.5), draw(29, 5, 1)
    assert kid(fakes, reals) == pytest.approx(slow_kid(fakes.numpy(), reals.numpy()), abs=1e-9)


def test_kid_is_the_same_however_the_kernel_is_cut_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes, reals = draw(50, 8, 0), draw(70, 8, 1)
    whole = kid(fakes, reals)
    monkeypatch.setattr("trainer.metrics.kid.ROWS", 7)
    assert kid(fakes, reals) == pytest.approx(whole, abs=1e-12)


def test_kid_of_one_distribution_is_0_on_average_and_negative_half_of_the_time() -> None:
    found = np.array([kid(draw(40, 8, 2 * seed), draw(60, 8, 2 * seed + 1)) for seed in range(400)])
    assert abs(found.mean()) < 4 * found.std() / 20
    assert 0.3 < (found < 0).mean() < 0.8


def test_kid_of_gaussians_has_its_closed_form() -> None:
    """In one dimension k(x, y) = (xy + 1)³, so MMD² = 3 (Δ mean)² + 3 (Δ mean square)² + (Δ mean cube)²."""
    normal = torch.tensor([[NormalDist().inv_cdf((i + 0.5) / 2000)] for i in range(2000)])
    fakes, reals = normal + 1, normal
    assert kid(fakes, reals) == pytest.approx(3 * 1**2 + 3 * (2 - 1) ** 2 + (4 - 0) ** 2, rel=0.02)


def test_kid_over_subsets_surrounds_the_whole_and_is_repeatable() -> None:
    fakes, reals = draw(400, 16, 0, mean=0.2), draw(400, 16, 1)
    mean, deviation = kid_over_subsets(fakes, reals, 100, 50)
    assert (mean, deviation) == kid_over_subsets(fakes, reals, 100, 50)
    assert (mean, deviation) != kid_over_subsets(fakes, reals, 100, 50, seed=1)
    assert mean == pytest.approx(kid(fakes, reals), abs=deviation)
    assert 0 < deviation < mean


def test_kid_over_subsets_is_that_of_rows_drawn_in_turn() -> None:
    fakes, reals, random = draw(20, 3, 0, mean=0.5), draw(25, 3, 1), np.random.RandomState(4)
    found = []
    for _ in range(3):
        rows = random.permutation(20)[:7], random.permutation(25)[:7]
        found.append(slow_kid(fakes.numpy()[rows[0]], reals.numpy()[rows[1]]))
    assert kid_over_subsets(fakes, reals, 7, 3, seed=4) == pytest.approx((np.mean(found), np.std(found)), abs=1e-9)


def test_frechet_is_computed_in_double_precision_whatever_comes() -> None:
    fakes, reals = draw(30, 8, 0, mean=1000), draw(40, 8, 1, mean=1000)
    assert frechet_distance(fakes, reals) == pytest.approx(frechet_distance(fakes.double(), reals.double()), rel=1e-12)
    parts = fakes.mean(0), fakes.T.cov(), reals.mean(0), reals.T.cov()
    expected = frechet_between(*(part.double() for part in parts))
    assert frechet_between(*parts) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_known_gaussians() -> None:
    """For commuting covariances it is |μ₁ - μ₂|² + Σ (σ₁ - σ₂)²."""
    mean1, mean2 = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 2.0, 5.0])
    rotation, _ = torch.linalg.qr(draw(3, 3, 0).double())
    first, second = (rotation @ torch.diag(torch.tensor(d).double()) @ rotation.T for d in ([1, 4, 9], [4, 4, 0]))
    expected = (1 + 0 + 4) + (1 - 2) ** 2 + (2 - 2) ** 2 + (3 - 0) ** 2
    assert frechet_between(mean1, first, mean2, second) == pytest.approx(expected, abs=1e-6)


def test_frechet_agrees_with_torchmetrics() -> None:
    fakes, reals = draw(500, 24, 0, mean=0.3).double(), draw(700, 24, 1, deviation=1.5).double()
    expected = _compute_fid(fakes.mean(0), fakes.T.cov(), reals.mean(0), reals.T.cov())
    assert frechet_distance(fakes, reals) == pytest.approx(float(expected), rel=1e-6)


def test_frechet_of_a_set_with_itself_is_0_also_with_fewer_samples_than_dimensions() -> None:
    for count in (200, 10):
        fakes = draw(count, 40, 0)
        assert frechet_distance(fakes, fakes) == pytest.approx(0, abs=1e-5)
        assert frechet_distance(fakes, fakes + 1) == pytest.approx(40, abs=1e-4)


def test_frechet_has_a_floor_that_falls_with_more_samples() -> None:
    few, many = (frechet_distance(draw(n, 30, 0), draw(n, 30, 1)) for n in (50, 1000))
    assert few > 4 * many > 0


def test_precision_and_recall_of_constructed_sets() -> None:
    near, far = draw(40, 6, 0), draw(40, 6, 1) + 100
    assert precision_recall(near, near) == (1, 1)
    assert precision_recall(near, far) == (0, 0)
    both = torch.cat([near, far])
    assert precision_recall(near, both) == (1, 0.5)  # all it makes is real, half of what is real it makes
    assert precision_recall(both, near) == (0.5, 1)


def test_precision_and_recall_agree_with_a_slow_loop() -> None:
    fakes, reals = draw(30, 3, 0, mean=1.0).numpy(), draw(45, 3, 1).numpy()

    def inside(points: np.ndarray, support: np.ndarray) -> float:
        radii = [sorted(np.linalg.norm(s - t) for t in support)[3] for s in support]  # [0] is the point itself
        balls = list(zip(support, radii, strict=True))
        return float(np.mean([any(np.linalg.norm(point - s) <= r for s, r in balls) for point in points]))

    expected = (inside(fakes, reals), inside(reals, fakes))
    assert 0 < min(expected) < max(expected) < 1
    assert precision_recall(torch.from_numpy(fakes), torch.from_numpy(reals)) == expected


@pytest.mark.parametrize("twins", [1, 20, 120])
def test_twins_do_not_change_precision_and_recall(twins: int) -> None:
    fakes, reals = draw(80, 4, 0, mean=0.5), draw(60, 4, 1)
    expected = precision_recall(fakes, reals)
    assert 0.2 < min(expected) < max(expected) < 1
    more = torch.cat([reals, reals.repeat(2, 1)[:twins]])
    assert precision_recall(fakes, more)[0] == expected[0]  # the manifold of the reals is a set's
    assert precision_recall(more, fakes)[1] == expected[0]


def test_a_generator_of_one_picture_has_no_recall() -> None:
    reals = draw(60, 4, 1)
    assert precision_recall(reals[:1].repeat(40, 1), reals) == (1, 1 / 60)


def test_the_first_of_each_picture_is_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.metrics.precision_recall.ROWS", 4)
    points = draw(12, 5, 0)
    order = [0, 1, 1, 2, 3, 0, 4, 11, 3, 3, 5]
    rounded = points[order] * (1 + 1e-7)  # another batch, another rounding
    assert distinct(rounded).tolist() == [0, 1, 3, 4, 6, 7, 10]
    assert distinct(torch.full((9, 5), 3.7)).tolist() == [0]


def test_the_same_picture_is_nearer_than_a_thousandth_of_the_spread() -> None:
    """Six features 10 from their mean, wherever that lies: 0.009 is the same, 0.0125 is not."""
    points = torch.tensor([[10, 0], [-10, 0], [0, 10], [0, -10], [10, 0.009], [-10, 0.0125]]).double()
    for offset in ([0.0, 0.0], [1000.0, -1000.0]):
        assert distinct(points + torch.tensor(offset)).tolist() == [0, 1, 2, 3, 5]
    points[4, 1] = 0.0105  # of numbers around a million a thousandth more is rounding
    assert distinct(points - 1e6).tolist() == [0, 1, 2, 3, 5]
    assert distinct(points).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_manifold_of_fewer_features_than_neighbours_takes_those_that_there_are() -> None:
    support, points = torch.tensor([[0.0], [10.0]]), torch.tensor([[5.0], [-10.0], [20.0], [21.0], [-11.0]])
    assert precision_recall(points, support)[0] == 3 / 5  # the ends of both balls belong to them
    one = precision_recall(torch.tensor([[0.0], [1.0]]), torch.zeros(4, 1))[0]
    assert isinstance(one, float)
    assert one == 0.5


def test_copies_among_numbers_worked_out_by_hand() -> None:
    """Real images at 0, 1, 3, 7 … 127, and two twins, which count once: 1, 1, 2, 4 … 64 from their nearest others."""
    reals = [127.0, 0, 3, 1, 3, 7, 63, 15, 31, 0]
    fakes = [-2.0, -30, 63.5, 1, -8, 127 + 8, *range(-29, -13)]  # distances 2, 30, 0.5, 0, 8 twice, 29 … 14
    found = find_copies(torch.tensor(fakes)[:, None], torch.tensor(reals)[:, None])
    assert found.samples.tolist() == [3, 2, 0, 4, 5, *range(21, 10, -1)]
    assert found.distances[:5, 0].tolist() == [0, 0.5, 2, 8, 8]
    assert isinstance(found.reals, np.ndarray)
    assert found.reals[0].tolist() == [3, 1, 2, 5]  # the first of each pair of twins
    assert found.distances[0].tolist() == [0, 1, 2, 6]
    assert found.percentiles[:5].tolist() == pytest.approx([0, 0, 37.5, 62.5, 62.5])  # 3 of 8 are as near as 2, 5 as 8
    among = [1, 1, 2, 4, 8, 16, 32, 64]
    assert found.between == {percent: np.percentile(among, percent) for percent in (1, 5, 25, 50)}
    assert found.suspicious == 2 / 22
    assert (
        find_copies(torch.tensor([[2.0], [-1.0]]), torch.tensor([[0.0], [1.0]])).suspicious == 0
    )  # as near, no nearer


def test_few_real_images_have_few_neighbours() -> None:
    found = find_copies(torch.tensor([[2.0], [7.0]]), torch.tensor([[0.0], [5.0], [0.0]]))
    assert found.reals.tolist() == [[0, 1], [1, 0]]
    assert found.distances.tolist() == [[2, 3], [2, 7]]
    alike = find_copies(torch.full((200, 1), 9.0), torch.tensor([[0.0], [5.0]]))
    assert alike.samples.tolist() == list(range(16))
    with pytest.raises(DataError, match="at least two that differ"):
        find_copies(torch.zeros(3, 1), torch.zeros(4, 1))


def test_no_point_is_its_own_neighbour_in_any_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.metrics.precision_recall.ROWS", 4)
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0], [15.0], [31.0]])
    distances, rows = neighbours(points, points, 2, same=True)
    assert rows[:, 0].tolist() == [1, 0, 1, 2, 3, 4]
    assert distances[:, 0].tolist() == pytest.approx([1, 1, 2, 4, 8, 16])
    assert distances[0].tolist() == pytest.approx([1, 3])
