"""Cores are counted as the kernel's documentation of cgroups has them; test_confined.py counts some for real."""

import math
import os

import pytest

from serving.server import cores

V2, V1 = "0::/kubepods/pod1/box\n", "5:memory:/box\n4:cpu,cpuacct:/docker/box\n0::/\n"


def make(root, membership: str, files: dict[str, str]):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("membership", "files", "paid"),
    [
        (V2, {"kubepods/pod1/box/cpu.max": "150000 100000"}, 1.5),
        (V2, {"kubepods/pod1/box/cpu.max": "max 100000"}, math.inf),
        (V2, {"kubepods/pod1/box/cpu.max": "max 100000", "kubepods/cpu.max": "400000 200000"}, 2),
        (V2, {"kubepods/pod1/box/cpu.max": "50000 100000", "kubepods/pod1/cpu.max": "300000 100000"}, 0.5),
        (V2, {"cpu.max": "300000 100000"}, 3),  # seen from within, with a namespace of its own
        (V2, {}, math.inf),
        (V1, {"cpu,cpuacct/docker/box/cpu.cfs_quota_us": "-1"}, math.inf),
        (
            V1,
            {
                "cpu,cpuacct/docker/box/cpu.cfs_quota_us": "50000",
                "cpu,cpuacct/docker/box/cpu.cfs_period_us": "20000",
                "memory/box/cpu.cfs_quota_us": "10",
            },
            2.5,
        ),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "50000"}, 2),
        (V1, {"cpu.max": "max 100000"}, math.inf),
    ],
)
def test_a_quota_is_that_of_the_tightest_group_around(tmp_path, membership, files, paid):
    assert cores.quota(make(tmp_path, membership, files)) == paid


def test_there_may_be_no_cgroups(tmp_path):
    assert cores.quota(tmp_path) == math.inf


@pytest.mark.parametrize(("paid", "usable"), [(0.1, 1), (1, 1), (1.5, 2), (3, 3), (100, 4), (math.inf, 4)])
def test_cores_are_those_that_are_paid_for_and_there(monkeypatch, paid, usable):
    monkeypatch.setattr(cores, "_physical_cores", lambda: 4)
    monkeypatch.setattr(cores, "quota", lambda: paid)
    assert cores.usable_cores() == usable


def test_hyper_threads_are_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "_ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5})
    assert cores._physical_cores() == 4, "where the machine does not say, each"
    for cpu, siblings in ((0, "0-1"), (1, "0-1"), (2, "2-3"), (5, "4-5")):
        place = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        place.mkdir(parents=True)
        (place / "thread_siblings_list").write_text(siblings + "\n")
    assert cores._physical_cores() == 3
