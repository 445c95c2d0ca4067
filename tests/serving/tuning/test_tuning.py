"""``tune`` with a real Triton, and a server that takes up what is written while it runs."""

import io
import json
import time

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from core.errors import MissingDependency, RepositoryError
from serving import publishing
from serving.protocol.grpc import connect, infer_inputs
from serving.protocol.model_config import Queue
from serving.repository.changes import reconfigure
from serving.repository.configs import read_config
from serving.repository.layout import CONFIG
from serving.repository.servable import check_servable
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from serving.tuning import command, report, search
from serving.tuning.bench import Effort
from serving.tuning.grid import Setting
from tests.serving.conftest import configure, publish


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, bundle):
    """A search among two settings, where any latency is fine; nothing is written.

    The queue has no limits: those of 2.51 may stall it on a machine that is at other work.
    """
    repository = tmp_path_factory.mktemp("tuned") / "repository"
    publish(bundle, "tiny", repository)
    configure(repository / "tiny", queue=Queue(size=0, timeout_us=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "placements", lambda present, cores: [present])
        patch.setattr(search, "delays", lambda best: [Setting(1, best.threads, 1000, max_batch=64)])
        patch.setattr(search, "batches", lambda best: [])
        patch.setattr(search, "REPEATS", 1)
        said = []
        effort = Effort(seconds=0.2)
        tuned = command.tune("tiny", repository, effort, 5000.0, dry_run=True, tell=said.append)
    return repository, tuned, said


def test_every_setting_was_measured_with_right_images(tuned):
    repository, tuned, said = tuned
    assert len(tuned.found.curves) == 2
    for curve in tuned.found.curves:
        assert not curve.fault
        assert 0 < curve.unloaded_ms < 5000 and curve.saturated > 0
        assert curve.knee.goodput > 0 and curve.knee.images_per_run >= 1
        assert all((each.failed, each.wrong, each.rejected) == (0, 0, 0) for each in curve.points)
    assert "settings on" in said[0] and "minutes" in said[0]
    assert tuned.written == ()
    check_servable(repository)


def test_it_is_shown_as_a_table_as_json_and_as_a_picture(tuned, tmp_path):
    _, tuned, _ = tuned
    console = Console(width=80, file=io.StringIO())
    console.print(report.table(tuned.found))
    text = console.file.getvalue()
    assert "knee" in text and "5000 ms" in text and "→" in text
    assert "…" not in text, "it does not fit into a usual terminal"
    picture, data = report.save(tuned, "tiny", tmp_path / "a" / "tiny.png", tmp_path / "b" / "tiny.json")
    with Image.open(picture) as image:
        assert image.size == (900, 600)
    found = json.loads(data.read_text())
    assert [curve["setting"]["delay_us"] for curve in found["curves"]] == [0, 1000]
    assert found["written"] == [] and found["tritonserver"]


def test_the_verdict_says_before_after_and_what_was_written(tuned):
    _, tuned, _ = tuned
    found = tuned.found
    same = search.Found(found.present, found.present, 50, found.curves, found.repeats)
    assert "nothing was written" in report.verdict(command.Tuned(same, ()))
    smaller = Setting(2, 1, max_batch=8)
    other = search.Found(found.present, smaller, 50, found.curves, found.repeats)
    said = report.verdict(command.Tuned(other, ("tiny", "tiny_png")))
    for words in (f"before: {found.present}", f"after: {smaller}", "more than 8 images", "written: tiny, tiny_png"):
        assert words in said
    assert "--dry-run" in report.verdict(command.Tuned(other, ()))


def test_a_better_setting_is_written_and_one_as_good_is_not(bundle, tmp_path, monkeypatch):
    publish(bundle, "tiny", tmp_path)
    before = (tmp_path / "tiny" / CONFIG).read_bytes()

    def found(setting):
        return lambda benches, present, *_: search.Found(present, setting or present, 50, (), ())

    monkeypatch.setattr(command, "search", found(None))
    assert command.tune("tiny", tmp_path, Effort()).written == ()
    monkeypatch.setattr(command, "search", found(Setting(3, 2, 1000)))
    assert command.tune("tiny", tmp_path, Effort(), dry_run=True).written == ()
    assert (tmp_path / "tiny" / CONFIG).read_bytes() == before
    assert command.tune("tiny", tmp_path, Effort()).written == ("tiny",)
    assert Setting.of(read_config(tmp_path / "tiny"), 1) == Setting(3, 2, 1000)


def test_what_cannot_be_tuned_says_why(bundle, tmp_path, monkeypatch):
    publishing.publish(bundle, "tiny", tmp_path, trial=False)
    for name, says in (
        ("nobody", "no model 'nobody'"),
        ("tiny_from_seed", "tune 'tiny'"),
        ("tiny_png", "tune 'tiny'"),
    ):
        with pytest.raises(RepositoryError, match=says):
            command.tune(name, tmp_path, Effort())

    def missing(_):
        raise MissingDependency("there is no tritonserver")

    monkeypatch.setattr("serving.server.supervisor.find_triton", missing)
    with pytest.raises(MissingDependency):
        command.tune("tiny", tmp_path, Effort())


def test_a_server_that_runs_takes_up_smaller_and_larger_batches(bundle, tmp_path):
    repository, events = tmp_path / "repository", []
    publishing.publish(bundle, "tiny", repository, trial=False)
    seeds = {"seed": np.arange(20)[:, None]}
    with Supervisor(repository, free_ports(), on_event=events.append) as server, connect(server.url) as client:
        whole = client.infer("tiny_from_seed", infer_inputs(seeds)).as_numpy("image")
        for times, most in enumerate((8, 128), 1):
            reconfigure("tiny", repository, Setting(2, 1, 1000, (4,), most).on)
            wait_for_loads(times, events)
            config = client.get_model_config("tiny").config
            assert (config.max_batch_size, config.instance_group[0].count) == (most, 2)
            assert client.get_model_config("tiny_png").config.max_batch_size == most
            some = {"seed": seeds["seed"][: min(most, 20)]}
            images = client.infer("tiny_from_seed", infer_inputs(some)).as_numpy("image")
            assert np.abs(images.astype(int) - whole[: len(images)]).max() <= 1
    assert {event.kind for event in events} == {"starting", "ready", "loaded", "stopped"}


def wait_for_loads(times, events):
    for _ in range(1200):
        if [event.kind for event in events].count("loaded") == times:
            return
        time.sleep(0.05)
    raise AssertionError([(event.kind, event.message) for event in events])
