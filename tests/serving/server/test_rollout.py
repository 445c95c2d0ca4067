"""What is published, changed or deleted while a real server serves it: no request is lost, nothing bad stays."""

import os
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import onnx
import psutil
import pytest
from tritonclient.utils import InferenceServerException

from core.bundle import GOLDEN, GRAPH, MANIFEST, write_manifest
from core.difference import levels_apart
from core.errors import ModelNotFound, RepositoryError
from core.golden import Golden
from core.latents import ALGORITHM, latents
from serving import publishing
from serving.client.sampler import Sampler
from serving.protocol.grpc import connect, infer_inputs
from serving.protocol.model_config import Instances
from serving.publishing import rollback
from serving.removing import remove
from serving.repository.golden import images_in
from serving.repository.layout import CONFIG
from serving.repository.servable import check_servable
from serving.repository.versions import list_models, versions_of
from serving.server.launch import free_ports
from serving.server.processes import DEAD, state_of
from serving.server.rollout import EVERY
from serving.server.supervisor import Supervisor
from tests.serving.conftest import SPEC, configure, images_of, make_bundle
from tests.serving.server.test_odd_places import STILLBORN
from tests.serving.server.test_supervisor import eventually

SEEDS = list(range(8))
PAUSE = 0.1  # seconds between two requests of a client: models are loaded on the same processor
DOORS = ("tiny_from_seed", "tiny_png")


def weight_of(seed):
    size = SPEC.channels * SPEC.height * SPEC.width
    return np.random.RandomState(seed).standard_normal((SPEC.latent_dim, size)).astype(np.float32) / 3


def images_by(weight_seed):
    """What the bundle that was made with this seed makes of ``SEEDS``."""
    return images_of(
        SPEC, weight_of(weight_seed), latents(SEEDS, SPEC.latent_dim), np.ones((len(SEEDS), 1), np.float32)
    )


class Served(Supervisor):
    """A server that is published to, what it told, and of which bundle each version of ``tiny`` is, by its seed."""

    def __init__(self, repository, bundles):
        self.events, self.bundles, self.seeds = [], bundles, {}
        super().__init__(repository, free_ports(), on_event=self.events.append, steady_seconds=0)

    def publish(self, weight_seed):
        """The next version of ``tiny``, from a bundle that only this seed makes."""
        bundle = self.bundles / str(weight_seed)
        if not bundle.exists():
            make_bundle(bundle, seed=weight_seed)
        version = publishing.publish(bundle, "tiny", self.repository, trial=False).version
        self.seeds[version] = weight_seed
        return version

    def told(self, kind, what=""):
        return [event.message for event in self.events if event.kind == kind and what in event.message]

    def wait_for(self, kind, what):
        eventually(lambda: self.told(kind, what))

    def serves(self, weight_seed):
        """Whether every door gives the images of that bundle."""
        seeds = infer_inputs({"seed": np.array(SEEDS)[:, None]})
        with connect(self.url) as client, Sampler("tiny", self.url) as sampler:
            answers = [
                client.infer("tiny_from_seed", seeds).as_numpy("image"),
                images_in(client.infer("tiny_png", seeds).as_numpy("png"), SPEC.channels),
                np.stack([image for _, image in sampler.sample(SEEDS)]),
            ]
        return all(levels_apart(images, images_by(weight_seed)) <= 1 for images in answers)

    @property
    def current(self):
        return self.seeds[self.newest]

    @property
    def newest(self):
        return max(versions_of(self.repository / "tiny"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = Served(tmp_path_factory.mktemp("rollout") / "repository", tmp_path_factory.mktemp("bundles"))
    server.publish(1)
    publishing.publish(
        make_bundle(server.bundles / "other", seed=99), "other", server.repository, thin=False, trial=False
    )
    with server:
        yield server
    assert server.events[-1].kind == "stopped"


@pytest.fixture(autouse=True)
def nothing_is_lost(served):
    """No test costs a server but those that kill it."""
    lost = len(served.told("lost"))
    yield
    assert [message for message in served.told("lost")[lost:] if not message.endswith("SIGKILL")] == []


@dataclass
class Load:
    """Clients that ask all the time, each once: images by the door they came through, and what failed."""

    url: str
    images: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def ask_door(self, door):
        output = "png" if door.endswith("png") else "image"
        with connect(self.url) as client:
            inputs = infer_inputs({"seed": np.array(SEEDS)[:, None]})
            while not self.ending.wait(PAUSE):
                try:
                    answer = client.infer(door, inputs).as_numpy(output)
                    self.images.append(images_in(answer, SPEC.channels) if output == "png" else answer)
                except InferenceServerException as error:
                    self.failures.append(f"{door}: {error}")

    def sample(self):
        while not self.ending.wait(PAUSE):
            try:
                with Sampler("tiny", self.url, batch=4, in_flight=2) as sampler:
                    self.images.append(np.stack([image for _, image in sampler.sample(SEEDS)]))
            except Exception as error:  # of any kind
                self.failures.append(repr(error))

    def check(self, *weight_seeds):
        """Everything was answered, each answer with images of one of these bundles, and each of them was met."""
        assert self.failures == []
        expected = {seed: images_by(seed) for seed in weight_seeds}
        found = [[seed for seed in expected if levels_apart(images, expected[seed]) <= 1] for images in self.images]
        assert all(len(each) == 1 for each in found)
        assert {seed for (seed,) in found} == set(weight_seeds)


@contextmanager
def loaded(served):
    """Four clients within the block, who are served before it begins and once more before it ends."""
    load = Load(served.url)
    threads = [threading.Thread(target=load.ask_door, args=(door,)) for door in DOORS]
    threads += [threading.Thread(target=load.sample) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(load.images) > 8)
        yield load
        done = len(load.images)
        eventually(lambda: len(load.images) > done + 16)
    finally:
        load.ending.set()
        for thread in threads:
            thread.join()


def test_a_swap_under_load_loses_no_request_and_a_stream_stays_with_its_version(served):
    first, old = served.newest, served.current
    with loaded(served) as load, Sampler("tiny", served.url, batch=2, in_flight=1) as sampler:
        stream = sampler.sample(SEEDS)
        begun = [image for _, image in zip(range(4), (image for _, image in stream), strict=False)]
        version = served.publish(2)
        served.wait_for("loaded", f"version {version}")
        images = np.stack([*begun, *(image for _, image in stream)])
    load.check(old, 2)
    assert sampler.version == str(first)
    assert levels_apart(images, images_by(old)) <= 1
    assert served.told("loaded")[-1].startswith(f"'tiny': version {version} of tiny, tiny_from_seed, tiny_png")


def test_going_back_under_load_loses_no_request(served):
    if served.newest == 1:  # run by itself
        served.wait_for("loaded", f"version {served.publish(2)}")
    before, now = served.seeds[served.newest - 1], served.current
    with loaded(served) as load:
        back = rollback("tiny", served.repository, trial=False)
        served.seeds[back.version] = before
        served.wait_for("loaded", f"version {back.version}")
    load.check(before, now)
    with Sampler("tiny", served.url) as sampler:
        assert sampler.version == str(back.version)


def test_of_two_versions_at_once_the_newest_is_served(served):
    served.publish(3)
    version = served.publish(4)
    served.wait_for("loaded", f"version {version}")
    assert served.serves(4)
    with connect(served.url) as client:
        assert set(client.get_model_metadata("tiny").versions) == {str(version - 1), str(version)}


def bad_bundle(path, how):
    """A bundle that is whole by all its hashes, and makes other images than its golden ones, or does not load."""
    make_bundle(path, seed=50)
    if how == "golden":
        golden = Golden.read(path / GOLDEN)
        (path / GOLDEN).write_bytes(Golden(golden.inputs, golden.images ^ 64).to_bytes())
    else:
        graph = onnx.load(path / GRAPH)
        next(node for node in graph.graph.node if node.op_type == "Tanh").op_type = "Nonsense"
        onnx.save(graph, path / GRAPH)
    (path / MANIFEST).unlink()
    write_manifest(path, spec=SPEC, opset=18, seed_algorithm=ALGORITHM)
    return path


BAD = {"golden": "does not make its golden images", "graph": "Nonsense"}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_version_is_taken_back_and_its_number_is_not_given_again(served, tmp_path, how):
    good = served.newest
    with loaded(served) as load:
        bad = publishing.publish(bad_bundle(tmp_path / "bad", how), "tiny", served.repository, trial=False).version
        served.wait_for("refused", f"'tiny' version {bad}: ")
    assert BAD[how] in served.told("refused")[-1]
    assert served.told("refused")[-1].endswith(f"; version {good} goes on")
    # Who asks for a version by its number may have found the bad one, and then not any more; doors never show it.
    assert [each for each in load.failures if not each.startswith("ModelNotFound(")] == []
    assert all(levels_apart(each, images_by(served.current)) <= 1 for each in load.images[-8:])
    tiny = served.repository / "tiny"
    assert (served.newest, (tiny / f".{bad}.refused" / "model.onnx").is_file()) == (good, True)
    check_servable(served.repository)
    assert served.serves(served.current)


def test_what_fails_its_trial_is_not_published(served, tmp_path):
    before, events = sorted(served.repository.rglob("*")), len(served.events)
    bundle = bad_bundle(tmp_path / "bad", "golden")
    with pytest.raises(RepositoryError, match=r"so nothing was published: .*does not make its golden images") as raised:
        publishing.publish(bundle, "other", served.repository, thin=False)
    assert "\n" not in str(raised.value)
    assert sorted(served.repository.rglob("*")) == before
    assert len(served.events) == events


def group(repository, name):
    return [model.path for model in list_models(repository) if model.name == name or model.name.startswith(f"{name}_")]


def test_a_changed_configuration_is_taken_up_under_load(served):
    with loaded(served) as load:
        told = len(served.told("loaded", "its changed configuration"))
        for model in group(served.repository, "tiny"):
            configure(model, max_batch_size=80)
        eventually(lambda: len(served.told("loaded", "its changed configuration")) > told)
        with connect(served.url) as client:
            eventually(
                lambda: (
                    {
                        client.get_model_config(model.name).config.max_batch_size
                        for model in group(served.repository, "tiny")
                    }
                    == {80}
                )
            )
    load.check(served.current)


def test_more_instances_are_more_processes(served):
    other = served.repository / "other"
    configure(other, instances=Instances(count=3))
    served.wait_for("loaded", "'other': its changed configuration of other")
    eventually(lambda: [name for name, _ in served.server.stubs.values()].count("other") == 3)
    configure(other, instances=Instances())
    eventually(lambda: [name for name, _ in served.server.stubs.values()].count("other") == 1)


def test_a_configuration_that_is_wrong_takes_no_version_back(served):
    config, good = served.repository / "tiny_png" / CONFIG, served.newest
    right = config.read_text()
    told = len(served.told("refused", "'tiny': its changed configuration: "))
    configure(config.parent, max_batch_size=800)
    eventually(lambda: len(served.told("refused", "'tiny': its changed configuration: ")) > told)
    assert "give both the same max_batch_size; what is loaded goes on" in served.told("refused")[-1]
    assert served.newest == good
    assert served.serves(served.current)
    config.write_text(right)
    time.sleep(2 * EVERY)
    assert len(served.told("refused", "'tiny': its changed configuration: ")) == told + 1


def test_what_is_removed_is_unloaded_when_its_last_request_is_answered(served, tmp_path):
    publishing.publish(make_bundle(tmp_path / "third", seed=7), "third", served.repository, trial=False)
    served.wait_for("loaded", "'third': version 1")
    answers, refusals = [], []

    def ask():
        with connect(served.url) as client:
            while not refusals:
                try:
                    answers.append(client.infer("third_png", infer_inputs({"seed": np.arange(64)[:, None]})))
                except InferenceServerException as error:
                    refusals.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(answers) > 3)
    remove(["third"], served.repository)
    for name in ("third_from_seed", "third_png", "third"):
        served.wait_for("gone", f"'{name}' is no longer in the repository: it is served no more")
    for thread in threads:
        thread.join()
    # One that was on its way when the model went was answered; one that came later was told that it is not there.
    assert all("has no available versions" in each for each in refusals)
    shutil.rmtree(served.repository / "other")  # by hand
    served.wait_for("gone", "'other'")
    with pytest.raises(ModelNotFound, match="has no model 'other'"):
        Sampler("other", served.url)
    assert served.serves(served.current)


def test_a_repository_that_is_away_is_served_on(served):
    aside, current = served.repository.with_name("aside"), served.current
    served.repository.rename(aside)
    served.repository.mkdir()
    time.sleep(2 * EVERY)
    assert served.serves(current)
    served.repository.rmdir()
    aside.rename(served.repository)
    assert served.told("gone", "'tiny") == []


def test_a_process_that_dies_at_once_is_said_at_once_with_its_own_last_words(served):
    program = served.server._workspace.root / "backends" / "onnxruntime" / "model.py"
    right, good = program.read_bytes(), served.newest
    program.write_text(STILLBORN)
    try:
        bad = served.publish(8)
        served.wait_for("refused", f"'tiny' version {bad}: a model's process died as soon as it started: no such luck")
        assert served.told("refused")[-1].endswith(f"; version {good} goes on")
    finally:
        program.write_bytes(right)
    assert served.serves(served.current)
    eventually(lambda: not served.server.changing)
    served.wait_for("loaded", f"version {served.publish(9)}")
    assert served.serves(9)


def test_a_server_that_dies_while_it_loads_takes_no_version_back(served):
    processes = [psutil.Process(served.server.pid), *served.server.stubs]
    version = served.publish(5)
    eventually(lambda: served.server.changing)
    os.kill(served.server.pid, signal.SIGKILL)
    eventually(lambda: served.told("ready")[1:])
    assert served.told("lost") == ["tritonserver ended by signal SIGKILL"]
    assert served.newest == version
    assert served.serves(5)
    assert all(state_of(process) in DEAD for process in processes)


def test_what_is_published_while_a_server_starts_is_not_missed(served, monkeypatch):
    def publish(event):
        if event.kind == "ready":
            served.publish(6)

    ready = len(served.told("ready"))
    monkeypatch.setattr(served, "_on_event", lambda event: (publish(event), served.events.append(event)))
    os.kill(served.server.pid, signal.SIGKILL)
    eventually(lambda: served.told("ready")[ready:])
    served.wait_for("loaded", f"version {served.newest}")
    assert served.serves(6)
    served.publish(5)  # which is being loaded when it is stopped
    eventually(lambda: served.server.changing)


def test_what_was_logged_of_a_refused_version_explains_no_later_end(tmp_path):
    server = Served(tmp_path / "repository", tmp_path / "bundles")
    server.publish(1)
    with server:
        publishing.publish(bad_bundle(tmp_path / "bad", "graph"), "tiny", server.repository, trial=False)
        server.wait_for("refused", "Nonsense")
        eventually(lambda: not server.server.changing)
        os.kill(server.server.pid, signal.SIGSEGV)
        server.wait_for("lost", "")
    (lost,) = server.told("lost")
    assert lost.startswith("tritonserver ended by signal SIGSEGV")
    assert "Nonsense" not in lost
