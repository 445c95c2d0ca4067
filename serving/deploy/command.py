"""How Triton runs in a container of NVIDIA's: its command line, what its health is asked by, and its numbers."""

from collections.abc import Iterable

from serving.repository.engines import LIMITED
from serving.server.launch import ServerPorts

PORTS = ServerPorts()  # those Triton listens on unless told, all addresses of the container
USER = 1000  # triton-server in NVIDIA's image
MODELS = "/models"
READY = "/v2/health/ready"

DRAIN_SECONDS = (
    10  # between leaving the endpoints and being asked to stop: clients and proxies learn of it in that time
)
EXIT_SECONDS = 30  # for requests in flight, once asked to stop
STOP_SECONDS = DRAIN_SECONDS + EXIT_SECONDS + 10  # before it is killed
DEAD_SECONDS = DRAIN_SECONDS + 10  # the same, once a model has died: what it was asked for is lost
START_SECONDS = 300  # for loading every model

SCRATCH_MIB = 64  # /tmp

_PROGRAM = "/opt/tritonserver/bin/tritonserver"
# A gRPC connection stays with one server for as long as it lives, so servers that are added later would get nothing.
_CONNECTION_MILLISECONDS = 300_000
_KEY = "admin-key"
_ADMINISTRATION = ("shared-memory", "model-repository", "statistics", "trace", "logging")
# Clients use gRPC; HTTP is for health alone.
_ALL_BUT_HEALTH = ("metadata", "inference", "model-config", *_ADMINISTRATION)


def command_line(repository: str, key: str, threads: int) -> list[str]:
    """The program and its flags. Whoever administers the server sends ``key``, which is left to be filled in.

    ONNX Runtime's ``threads`` are shared by all sessions. Otherwise each instance starts one for each core of the
    machine, however few of them it may use.
    """
    administration = f"{','.join(_ADMINISTRATION)}:{_KEY}={key}"
    all_but_health = f"{','.join(_ALL_BUT_HEALTH)}:{_KEY}={key}"

    return [
        _PROGRAM,
        f"--model-repository={repository}",
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        f"--model-config-name={LIMITED}",
        f"--exit-timeout-secs={EXIT_SECONDS}",
        f"--grpc-max-connection-age={_CONNECTION_MILLISECONDS}",
        *(f"--backend-config=onnxruntime,{name}={value}" for name, value in _threads(threads).items()),
        f"--grpc-restricted-protocol={administration}",
        f"--http-restricted-api={all_but_health}",
    ]


def ask_models(models: Iterable[str]) -> list[str]:
    """A command for inside the container that succeeds if every one of ``models`` is ready.

    The server itself can answer while the process that runs a model is dead, and nothing in it starts another.
    """
    addresses = [f"http://127.0.0.1:{PORTS.http}/v2/models/{model}/ready" for model in models]
    return ["curl", "--silent", "--fail", "--fail-early", "--noproxy", "*", "--max-time", "4", *addresses]


def environment(gpus: int) -> dict[str, str]:
    """Variables of the container.

    NVIDIA's images ask for every GPU of a machine unless told, and its libraries round to 10 bits, by which images
    would be more than a level off. ONNX Runtime may report to Microsoft unless told not to.
    """
    of_gpus = {"NVIDIA_TF32_OVERRIDE": "0"} if gpus else {"NVIDIA_VISIBLE_DEVICES": "void"}
    return of_gpus | {"ORT_DISABLE_TELEMETRY": "1"}


def _threads(count: int) -> dict[str, int]:
    return {"enable-global-threadpool": 1, "intra_op_thread_count": count, "inter_op_thread_count": 1}
