import numpy as np
import pytest

from core.errors import ConfigError
from tests.trainer.conftest import blobs, tiny_config
from trainer.data.classes import class_warning, members
from trainer.data.pack import PackInfo, write_pack
from trainer.planning import plan
from trainer.stream import Stream


def pack_of(place, *counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    info = PackInfo("discs", 16, 16, 4, classes=tuple("abc"[: len(counts)]))
    return write_pack(place / "pack", blobs(sum(counts)), labels, info)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((40, 1), "a has 40 images and b 1: b will hardly be learned; --balance shows all classes equally often"),
        ((2, 30, 3), "b has 30 images and a 2: a will hardly be learned"),
        ((12,), "all images are of one class (a): --conditional has nothing to learn"),
    ],
)
def test_classes_that_will_not_be_learned_are_said(tmp_path, counts, said):
    assert class_warning(pack_of(tmp_path, *counts), balance=False).startswith(said)


def test_even_classes_need_no_word(tmp_path):
    assert class_warning(pack_of(tmp_path, 9, 3, 5), balance=False) is None


def test_balance_is_said_to_repeat_the_few(tmp_path):
    assert "the few of b over and over" in class_warning(pack_of(tmp_path, 40, 1), balance=True)


def test_a_balanced_run_reads_every_class_equally_often_wherever_it_resumes(tmp_path):
    pack = pack_of(tmp_path, 40, 4)
    planned = plan(tiny_config(conditional=True, balance=True), pack)
    stream = Stream(pack, planned.spec, 0, planned.device, planned.config.balance)
    whole = stream.read(0, 40, 0)
    assert np.bincount(whole.labels.numpy()).tolist() == [20, 20]
    later = Stream(pack, planned.spec, 0, planned.device, balance=True).read(24, 16, 3)
    assert (later.images == whole.images[24:]).all() and (later.labels == whole.labels[24:]).all()
    assert [rows.tolist() for rows in members(pack)] == [list(range(40)), list(range(40, 44))]


def test_balance_without_classes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--balance is of classes"):
        plan(tiny_config(balance=True), pack_of(tmp_path, 10, 10))


def test_what_is_held_out_is_of_no_class_to_learn(tmp_path):
    info = PackInfo("discs", 16, 16, 4, classes=("a", "b", "c"))
    pack = write_pack(tmp_path / "pack", blobs(6), [0, 1, 1, 0, 2, 1], info, parts=[0, 0, 2, 1, 2, 0])
    assert [rows.tolist() for rows in members(pack, pack.rows("train"))] == [[0], [1, 5]]
    assert [rows.tolist() for rows in members(pack)] == [[0, 3], [1, 2, 5], [4]]
    assert class_warning(pack, balance=False) is None
