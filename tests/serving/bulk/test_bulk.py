"""Bulk sampling through a real Triton: whatever disturbs it, it ends with the same bytes."""

import itertools
import json
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import MissingDependency, RequestRefused, ServerUnavailable
from core.images import from_pillow
from serving.bulk.sample import make_shard, parse_shard, place_order, write_shards
from serving.bulk.shards import State
from serving.client.sampler import Sampler
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from tests.running import output_of
from tests.serving.client.test_sampler import executions, in_process

ROOT = Path(__file__).parents[3]
SEEDS = "200-210,0-99"
NUMBERS = [*range(100), *range(200, 211)]


@pytest.fixture
def sample(server, tmp_path):
    """The command, with a folder in ``tmp_path``; what it says, or the error of ours it ends with."""

    def run(*arguments, model="tiny", seeds=SEEDS, out="out"):
        command = ["sample", model, "--seeds", seeds, "--out", tmp_path / out, "--url", server.url, *arguments]
        return output_of(*command)

    return run


@pytest.fixture
def sampler(server):
    with Sampler("tiny", server.url, batch=16, no_batching=True) as sampler:
        yield sampler


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """Five shards, by name, as they are when nothing happens."""
    out = tmp_path_factory.mktemp("undisturbed")
    with Sampler("tiny", server.url, batch=16, no_batching=True) as sampler:
        write_shards(sampler, place_order(sampler, [range(200, 211), range(100)], 5), range(5), out)
    return files(out)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def images_in(tar):
    with tarfile.open(tar) as opened:
        for member in opened:
            with Image.open(opened.extractfile(member)) as picture:
                yield int(Path(member.name).stem), from_pillow(picture, 4)


@pytest.mark.parametrize(
    ("written", "shards", "number"),
    [("0/64", [0], 64), ("63/64", [63], 64), (" 0/1 ", [0], 1), ("all/3", [0, 1, 2], 3)],
)
def test_shards_are_counted_from_0(written, shards, number):
    found, count = parse_shard(written)
    assert (list(found), count) == (shards, number)


@pytest.mark.parametrize("written", ["64/64", "0/0", "all/0", "-1/4", "3", "/", "a/b", "1/2/3", "", "1.0/2", "²/3"])
def test_what_is_no_shard_is_refused_in_one_line(written):
    with pytest.raises(RequestRefused, match=r"is not a shard: write 0/\d+ to \d+/\d+, or all/\d+") as raised:
        parse_shard(written)
    assert "\n" not in str(raised.value)


def test_every_seed_is_there_once_with_its_image(sample, bundle, tmp_path):
    said = sample("--shard", "all/5")
    assert "5 written, 0 finished before; 111 images" in said
    tars = sorted((tmp_path / "out").glob("tiny-v2-?????-of-00005.tar"))
    found = [pair for tar in tars for pair in images_in(tar)]
    assert [seed for seed, _ in found] == NUMBERS
    expected = [
        in_process(bundle, part[first : first + 16])
        for part in (list(part) for part in np.array_split(NUMBERS, 5))
        for first in range(0, len(part), 16)
    ]
    assert len(tars) == 5
    sizes = [json.loads(tar.with_suffix(".json").read_text())["count"] for tar in tars]
    assert sorted(sizes) == [22, 22, 22, 22, 23]
    together = np.concatenate(expected)
    assert np.abs(np.stack([image for _, image in found]).astype(int) - together.astype(int)).max() <= 1


def test_batches_are_of_the_shards_own_seeds_and_no_other_request_is_run_with_them(server, sampler, bundle, tmp_path):
    order = place_order(sampler, [range(40)], 2)
    done = threading.Event()

    def disturb():
        with Sampler("tiny", server.url, batch=5) as other:
            while not done.is_set():
                list(other.sample(range(25)))

    with ThreadPoolExecutor() as pool:
        disturber = pool.submit(disturb)
        write_shards(sampler, order, [1], tmp_path)
        done.set()
        disturber.result()
    images = np.stack([image for _, image in images_in(tmp_path / f"{order.name(1)}.tar")])
    assert (images == np.concatenate([in_process(bundle, range(20, 36)), in_process(bundle, range(36, 40))])).all()


def test_shard_by_shard_and_all_at_once_and_anywhere_the_bytes_are_the_same(sample, undisturbed, tmp_path):
    for shard in (3, 0, 4, 1, 2):
        assert "1 written" in sample("--shard", f"{shard}/5")
    sample("--shard", "all/5", out="elsewhere", seeds="0-50,200-210,51-99")
    assert files(tmp_path / "out") == undisturbed
    assert files(tmp_path / "elsewhere") == undisturbed


def test_running_it_again_asks_for_nothing(server, sample, undisturbed, tmp_path):
    sample("--shard", "all/5")
    before, times = executions(server), {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert "0 written, 5 finished before; 111 images" in sample("--shard", "all/5")
    assert executions(server) == before
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times


class Interrupted(Sampler):
    """A sampler whose stream ends with an error after some images."""

    left = 0
    error: type[BaseException] = ServerUnavailable

    def sample(self, seeds, truncation=1.0, label=None):
        def stream(samples):
            for each in samples:
                if self.left == 0:
                    raise self.error("gone")
                self.left -= 1
                yield each

        return stream(super().sample(seeds, truncation, label))


@pytest.mark.parametrize("error", [ServerUnavailable, KeyboardInterrupt])
def test_stopped_anywhere_and_begun_again_it_ends_with_the_same_bytes(server, undisturbed, tmp_path, error):
    with Interrupted("tiny", server.url, batch=16, no_batching=True) as sampler:
        sampler.error = error
        order = place_order(sampler, [range(100), range(200, 211)], 5)
        for after in itertools.chain([0, 1, 22, 23, 40], itertools.repeat(31)):
            sampler.left = after
            try:
                write_shards(sampler, order, range(5), tmp_path)
                break
            except error as stopped:
                assert error is KeyboardInterrupt or "run the same command again" in str(stopped)
                assert files(tmp_path).items() <= undisturbed.items(), "only whole shards"
    assert files(tmp_path) == undisturbed


def test_files_that_were_harmed_are_made_again_and_named(sample, undisturbed, tmp_path):
    sample("--shard", "all/5")
    out = tmp_path / "out"
    flipped, cut, leftover = (out / f"tiny-v2-0000{shard}-of-00005.tar" for shard in (0, 1, 2))
    flipped.write_bytes(flipped.read_bytes()[:-700] + b"x" + flipped.read_bytes()[-699:])
    cut.with_suffix(".json").write_bytes(cut.with_suffix(".json").read_bytes()[:100])
    leftover.with_suffix(".json").unlink()
    leftover.write_bytes(leftover.read_bytes()[:700])
    said = sample("--shard", "all/5")
    assert f"1 written, 2 finished before, 2 damaged and written again ({flipped.stem}, {cut.stem})" in said
    assert files(out) == undisturbed


def test_two_at_the_same_shards_at_once_harm_nothing(server, undisturbed, tmp_path):
    def work(_):
        with Sampler("tiny", server.url, batch=16, no_batching=True) as sampler:
            write_shards(sampler, place_order(sampler, [range(100), range(200, 211)], 5), range(5), tmp_path)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert files(tmp_path) == undisturbed


def test_a_worker_that_is_killed_leaves_no_half_shard_and_the_next_ends_with_the_same_bytes(server, sampler, tmp_path):
    out, count = tmp_path / "out", 2000
    command = [sys.executable, ROOT / "cli.py", "sample", "tiny", "--seeds", f"0-{count - 1}", "--shard", "0/1"]
    command += ["--out", out, "--url", server.url]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL) as worker:
        while not any(out.glob(".*.tmp")) and worker.poll() is None:
            time.sleep(0.01)
        worker.kill()
    (left,) = out.iterdir()
    assert left.name.startswith(".tiny-v2-00000-of-00001.tar.")
    order = place_order(sampler, [range(count)], 1)
    assert make_shard(sampler, order, 0, out) is State.ABSENT
    assert sorted(files(out)) == ["tiny-v2-00000-of-00001.json", "tiny-v2-00000-of-00001.tar"]
    write_shards(sampler, order, [0], tmp_path / "again")
    assert files(tmp_path / "again") == files(out)


def test_a_server_that_goes_away_leaves_whole_shards(make_repository, undisturbed, tmp_path):
    def stop(done, total):
        if done >= 40:
            server.stop()

    repository = make_repository()
    with (
        Supervisor(repository, free_ports()) as server,
        Sampler("tiny", server.url, no_batching=True, seconds=10) as sampler,
    ):
        order = place_order(sampler, [range(2000)], 100)
        with pytest.raises(ServerUnavailable, match="finished shards are kept: run the same command again") as raised:
            write_shards(sampler, order, range(100), tmp_path / "out", stop)
    assert "\n" not in str(raised.value)
    names = set(files(tmp_path / "out"))
    assert {f"{order.name(shard)}.{end}" for shard in (0, 1) for end in ("json", "tar")} <= names
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shard", "0/6"), "shards 5, not 6"),
        (("--shard", "0/5", "--truncation", "0.5"), r"truncation 1\.0, not 0\.5"),
        (("--shard", "0/5", "--batch", "8"), "batch 16, not 8"),
    ],
)
def test_another_order_in_the_folder_is_refused(sample, undisturbed, tmp_path, arguments, said):
    sample("--shard", "1/5")
    before = files(tmp_path / "out")
    with pytest.raises(RequestRefused, match=rf"00001-of-00005\.json is of another order \({said}\): choose another"):
        sample(*arguments)
    assert files(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("arguments", "more", "said"),
    [
        (("--shard", "0/5", "--label", "cat"), {}, "no classes"),
        (("--shard", "0/5"), {"model": "animals"}, "needs a label"),
        (("--shard", "0/5", "--truncation", "nan"), {}, "truncation"),
        (("--shard", "0/112"), {}, "111 seeds cannot be split into 112 shards"),
        (("--shard", "0/5"), {"seeds": "0-9,5"}, "seed 5 is given twice"),
        (("--shard", "5/5"), {}, "is not a shard"),
        (("--shard", "0/5", "--batch", "0"), {}, "above 0"),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_a_folder(sample, tmp_path, arguments, more, said):
    with pytest.raises(RequestRefused, match=said):
        sample(*arguments, **more)
    assert not (tmp_path / "out").exists()


def test_labels_and_truncation_reach_the_images_and_the_manifest(sample, labelled_bundle, tmp_path):
    sample("--shard", "0/1", "--label", "dog", "--truncation", "0.5", model="animals", seeds="0-9")
    images = [image for _, image in images_in(tmp_path / "out" / "animals-v1-00000-of-00001.tar")]
    assert (np.stack(images) == in_process(labelled_bundle, range(10), 0.5, 1)).all()
    order = json.loads((tmp_path / "out" / "animals-v1-00000-of-00001.json").read_text())["order"]
    assert (order["label"], order["truncation"], order["batch"]) == ("dog", 0.5, 16)


def test_ray_that_is_not_installed_is_said_in_one_line(sample, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"pip install .*\[ray\]"):
        sample("--shard", "all/5", "--ray")
    assert not (tmp_path / "out").exists()


def test_through_ray_the_bytes_are_the_same(sample, undisturbed, tmp_path):
    pytest.importorskip("ray", reason="Ray is an extra: pip install '.[ray]'")
    assert "5 written" in sample("--shard", "all/5", "--ray")
    assert files(tmp_path / "out") == undisturbed
    assert "5 finished before" in sample("--shard", "all/5", "--ray")
    with pytest.raises(RequestRefused, match="another order"):
        sample("--shard", "all/5", "--ray", "--truncation", "0.5")
