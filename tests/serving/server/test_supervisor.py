"""What may happen to a server, done to a real one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from core.bundle import GOLDEN
from core.difference import MOST_LEVELS, levels_apart
from core.errors import MissingDependency, ServerUnavailable, ServingError
from core.golden import Golden
from serving.client.sampler import Sampler
from serving.repository.layout import CONFIG
from serving.repository.seal import seal
from serving.server.launch import HOST, free_ports
from serving.server.log_errors import reason_in
from serving.server.processes import could_run
from serving.server.supervisor import Supervisor, serve
from serving.server.workspace import SHARED_MEMORY
from tests.serving.conftest import SPEC, make_bundle, publish
from tests.serving.sampling.test_files import save_samples

PATIENCE = 60  # seconds for anything, on a machine that is busy with something else


def eventually(holds):
    limit = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.05)


def images_are_right(supervisor, golden):
    try:
        with Sampler("tiny", supervisor.url, seconds=5) as sampler:
            (image,) = sampler.sample_latents(golden.inputs["z"][:1])
    except ServingError:
        return False
    return levels_apart(image, golden.images[0]) <= MOST_LEVELS


def processes_of(pid):
    """A server's process and its stubs, and the start of its names in shared memory."""
    server = psutil.Process(pid)
    (prefix,) = (each.rpartition("=")[2] for each in server.cmdline() if "shm-region-prefix-name" in each)
    return [server, *server.children(recursive=True)], prefix


def gone(processes, prefix):
    alive = [p for p in processes if p.is_running() and p.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)]
    return not alive and not list(SHARED_MEMORY.glob(f"{prefix}*"))


@pytest.fixture
def golden(bundle):
    return Golden.read(bundle / GOLDEN)


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory, bundle):
    """A server that the tests harm, one after the other. ``events`` are what it told."""
    repository = tmp_path_factory.mktemp("harmed") / "repository"
    publish(bundle, "tiny", repository)
    events = []
    supervisor = Supervisor(repository, free_ports(), on_event=events.append, steady_seconds=0)
    with supervisor:
        supervisor.events = events
        yield supervisor
    assert [event.kind for event in events][-1] == "stopped"


def test_ready_means_that_the_golden_images_come_back(supervisor, golden):
    kinds = [event.kind for event in supervisor.events]
    assert kinds[:2] == ["starting", "ready"]
    assert supervisor.events[1].models == ("tiny:1",)
    assert images_are_right(supervisor, golden)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("which", ["stub", "server"])
def test_a_process_that_is_killed_or_hangs_is_replaced(supervisor, golden, which, how):
    eventually(lambda: images_are_right(supervisor, golden) and supervisor.events[-1].kind == "ready")
    told, harmed = len(supervisor.events), supervisor.server
    processes, _ = processes_of(harmed.pid)
    stub, *_ = harmed.stubs
    os.kill(stub.pid if which == "stub" else harmed.pid, how)
    eventually(lambda: [event.kind for event in supervisor.events[told:]][-1:] == ["ready"])
    assert supervisor.events[told].kind == "lost"
    assert supervisor.server is not harmed
    assert images_are_right(supervisor, golden)
    assert gone(processes, "no such prefix")


@pytest.mark.parametrize("which", ["stub", "server"])
def test_a_hang_is_noticed_when_no_process_state_tells(supervisor, golden, monkeypatch, which):
    eventually(lambda: images_are_right(supervisor, golden) and supervisor.events[-1].kind == "ready")
    told, server = len(supervisor.events), supervisor.server
    monkeypatch.setattr(psutil, "STATUS_STOPPED", "not looked at")
    os.kill(next(iter(server.stubs)).pid if which == "stub" else server.pid, signal.SIGSTOP)
    eventually(lambda: [event.kind for event in supervisor.events[told:]][-1:] == ["ready"])
    assert "'tiny'" in supervisor.events[told].message
    assert images_are_right(supervisor, golden)


@pytest.mark.parametrize("which", ["stub", "server"])
def test_sampling_goes_on_after_a_restart_with_every_image_in_its_place(supervisor, golden, which):
    eventually(lambda: images_are_right(supervisor, golden) and supervisor.events[-1].kind == "ready")
    with Sampler("tiny", supervisor.url, batch=1, in_flight=3) as sampler:
        expected = dict(sampler.sample(range(40)))
        found = []
        for seed, image in sampler.sample(range(40)):
            found.append((seed, image))
            if seed == 9:
                stub = next(iter(supervisor.server.stubs))
                os.kill(stub.pid if which == "stub" else supervisor.server.pid, signal.SIGKILL)
    assert [seed for seed, _ in found] == list(range(40))
    assert all(levels_apart(image, expected[seed]) == 0 for seed, image in found)


def test_what_was_sampled_before_the_server_went_for_good_is_kept(make_repository, tmp_path):
    with Supervisor(make_repository(), free_ports()) as supervisor:
        sampler = Sampler("tiny", supervisor.url, batch=1, in_flight=2, seconds=1.0)

        def harmed(samples):
            for seed, image in samples:
                yield seed, image
                if seed == 9:
                    supervisor.stop()

        with sampler, pytest.raises(ServerUnavailable, match="gave up on 1 images after") as raised:
            save_samples(
                harmed(sampler.sample(range(100_000))), tmp_path / "out", sampler.spec, "tiny", sampler.version
            )
    assert "\n" not in str(raised.value)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) >= 10
    assert names == [f"{seed:010d}.png" for seed in range(len(names))]


def test_a_server_that_is_busy_is_left_alone(tmp_path):
    """Large images, so many at once that a golden one waits longer than a hung server is given."""
    publish(make_bundle(tmp_path / "large", replace(SPEC, height=512, width=512)), "large", tmp_path / "repository")
    events = []

    def load(url):
        with Sampler("large", url, in_flight=8) as sampler:
            for _ in sampler.sample(range(4 * sampler.batch)):
                pass

    with Supervisor(tmp_path / "repository", free_ports(), on_event=events.append) as supervisor:
        threads = [threading.Thread(target=load, args=(supervisor.url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [event.kind for event in events] == ["starting", "ready", "stopped"]


def test_it_gives_up_with_the_reason_when_it_cannot_start_again(make_repository):
    repository, events = make_repository(), []
    with (
        pytest.raises(ServingError, match=r"2 times in a row\): the model 'tiny' version 1 does not load"),
        Supervisor(repository, free_ports(), on_event=events.append, most_starts=2) as supervisor,
    ):
        broken(repository, "model.onnx", b"broken")
        os.kill(next(iter(supervisor.server.stubs)).pid, signal.SIGKILL)
        eventually(lambda: events[-1].kind == "stopped")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (shutil.rmtree, "no models: add one with 'publish'"),
        (lambda repository: broken(repository, GOLDEN, b"broken"), "holds no golden images"),
        (lambda repository: (repository / "tiny" / "1" / GOLDEN).write_bytes(b"broken"), "was changed after it was"),
    ],
)
def test_files_that_went_while_it_served_are_said_when_it_starts_again(make_repository, harm, said):
    repository, events = make_repository(), []
    with (
        pytest.raises(ServingError, match=rf"2 times in a row\): .*{said}"),
        Supervisor(repository, free_ports(), on_event=events.append, most_starts=2, steady_seconds=0) as supervisor,
    ):
        harm(repository)
        os.kill(supervisor.server.pid, signal.SIGKILL)
        eventually(lambda: events[-1].kind == "stopped")
    kinds = ["starting", "ready", "lost", "starting", "lost", "starting", "stopped"]
    assert [event.kind for event in events if event.kind != "gone"] == kinds
    events = [event for event in events if event.kind != "gone"]
    assert events[2].message == "tritonserver ended by signal SIGKILL"


def test_a_temporary_directory_that_was_emptied_is_said_when_it_starts_again(make_repository):
    events = []
    with (
        pytest.raises(ServingError, match=r"2 times in a row\): .*No such file"),
        Supervisor(make_repository(), free_ports(), on_event=events.append, most_starts=2) as supervisor,
    ):
        shutil.rmtree(supervisor.server._workspace.root)
        os.kill(supervisor.server.pid, signal.SIGKILL)
        eventually(lambda: events[-1].kind == "stopped")


def test_it_gives_up_on_a_server_that_is_always_lost_at_once(make_repository):
    def harm(event):
        if event.kind == "ready":
            os.kill(supervisor.server.pid, signal.SIGKILL)

    supervisor = Supervisor(make_repository(), free_ports(), on_event=harm, most_starts=2)
    with pytest.raises(ServingError, match=r"2 times in a row\): lost 0\.\d s after it was ready: .* SIGKILL"):
        supervisor.run()


def test_the_server_of_another_supervisor_is_not_taken_for_ones_own(server, make_repository, monkeypatch):
    """Two that start together both find the ports free."""
    monkeypatch.setattr("serving.server.supervisor.check_ports", lambda *_: None)
    events = []
    starting_fails(make_repository(), f"port {server.ports.grpc} is taken", server.ports, on_event=events.append)
    assert [event.kind for event in events] == ["starting", "stopped"]


def test_whether_a_process_could_run():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        eventually(lambda: could_run(psutil.Process(busy.pid)))
        busy.send_signal(signal.SIGSTOP)
        eventually(lambda: not could_run(psutil.Process(busy.pid)))
        process = psutil.Process(busy.pid)
        busy.kill()
    assert not could_run(process)


def broken(repository, name, data):
    """Another file in the place of one of tiny's, sealed again as whoever replaced it could."""
    version = repository / "tiny" / "1"
    (version / name).write_bytes(data)
    seal(version)


def starting_fails(repository, said, ports=None, **more):
    """Whether ``serve`` refuses in one line that matches, and quickly."""
    with pytest.raises((ServingError, MissingDependency), match=said) as raised:
        serve(repository, ports or free_ports(), **more)
    assert "\n" not in str(raised.value)


def test_a_graph_that_does_not_load_is_named(make_repository):
    repository = make_repository()
    broken(repository, "model.onnx", b"broken")
    starting_fails(repository, "'tiny' version 1 does not load .*onnx")


def test_golden_images_that_do_not_come_back_are_an_error(make_repository, golden):
    repository = make_repository()
    wrong = Golden(golden.inputs, golden.images ^ 3)
    broken(repository, GOLDEN, wrong.to_bytes())
    starting_fails(repository, "'tiny' version 1 does not make its golden images")


def test_a_version_without_golden_images_is_not_served(make_repository):
    repository = make_repository()
    (repository / "tiny" / "1" / GOLDEN).unlink()
    starting_fails(repository, r"tiny/1/golden.npz is missing: publish it again")
    seal(repository / "tiny" / "1")
    starting_fails(repository, r"'tiny' version 1 cannot be checked, because .*golden.npz is missing: publish it again")


@pytest.mark.parametrize("name", ["model.onnx", GOLDEN, "manifest.json", "SHA256SUMS"])
def test_a_file_that_was_changed_is_named(make_repository, name):
    repository = make_repository()
    file = repository / "tiny" / "1" / name
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    starting_fails(repository, "was changed after it was published|has no readable|is missing")


def test_a_repository_without_models_is_said(tmp_path):
    starting_fails(tmp_path, "no models: add one with 'publish'")
    starting_fails(tmp_path / "nowhere", "no models")


@pytest.mark.parametrize("lacks", ["config", "versions"])
def test_a_directory_that_is_no_model_is_named(make_repository, lacks):
    repository = make_repository()
    (repository / "half").mkdir()
    if lacks == "config":
        (repository / "half" / "1").mkdir()
    else:
        (repository / "half" / CONFIG).touch()
    starting_fails(repository, "half is not a model")


def test_a_folder_that_triton_would_take_for_a_model_is_named(make_repository):
    repository = make_repository()
    (repository / ".git").mkdir()
    starting_fails(repository, r"\.git is a folder Triton would take for a model: move it out")
    (repository / ".git").rmdir()
    (repository / "tiny" / CONFIG).write_text('name: "tiny')
    starting_fails(repository, r"config\.pbtxt: Triton would not read this configuration, from line 1 on")


def test_a_taken_port_is_said_before_anything_starts(make_repository):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        ports = free_ports()
        ports = type(ports)(taken.getsockname()[1], ports.http, ports.metrics)
        starting_fails(make_repository(), "is taken: choose another with --grpc-port", ports)


def test_a_program_that_is_no_server_is_said(make_repository, tmp_path):
    starting_fails(make_repository(), "nothing-here is not a program", tritonserver=tmp_path / "nothing-here")
    starting_fails(make_repository(), "tritonserver ended with status 0", tritonserver=Path("/bin/true"))


SERVE = """
import sys
from pathlib import Path
from serving.server.supervisor import serve
from serving.server.launch import ServerPorts
serve(Path(sys.argv[1]), ServerPorts(*map(int, sys.argv[2:])), on_event=lambda event: print(event.kind, flush=True))
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_it_ends(make_repository, how):
    ports = free_ports()
    command = [sys.executable, "-c", SERVE, str(make_repository()), *map(str, (ports.grpc, ports.http, ports.metrics))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert [program.stdout.readline() for _ in range(2)] == ["starting\n", "ready\n"]
        servers = [p.pid for p in psutil.Process(program.pid).children() if p.name() == "tritonserver"]
        processes, prefix = processes_of(servers[0])
        assert len(processes) == 2  # with a stub for the one instance
        program.send_signal(how)
        assert program.wait(PATIENCE) == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    eventually(lambda: gone(processes, prefix))


def test_the_reason_is_found_in_a_log():
    line = (
        "E1123 1 model_lifecycle.cc:642] \"failed to load 'a.b' version 2: Internal: no such file\\n\\nAt:\\n  x(3)\"\n"
    )
    assert reason_in("noise\n" + line + "more") == (
        "the model 'a.b' version 2 does not load (Internal: no such file): publish it again, or delete it"
    )
    assert reason_in("noise\nerror: creating server: Internal\nmore\n") == "error: creating server: Internal"
    assert reason_in("x: error while loading libraries\nlast\n\n") == "x: error while loading libraries"
    assert reason_in('I1123 1 metrics.cc:7] "GPU metrics"\nW1123 1 metrics.cc:9] "none"\n') == ""
    assert reason_in('Error: Failed to initialize NVML\nE1123 1 s.cc:2] "CudaDriverHelper has not"\n') == ""
    assert (
        reason_in('E1123 1 e.cc:1] "unable to create stream for tiny_png: CUDA driver version is insufficient"\n') == ""
    )
    assert reason_in('E1123 1 main.cc:7] "it broke"\nI1123 1 metrics.cc:9] "x"\n').endswith('"it broke"')
