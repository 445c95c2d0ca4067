"""How a tritonserver is started: where it listens, who may ask it for what, its command line and environment."""

import errno
import ipaddress
import os
import re
import secrets
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import ServingError
from serving.protocol.tls import ClientTls, ServerTls
from serving.server import hidden_arguments
from serving.server.cores import VARIABLE as CORES
from serving.server.cores import usable_cores
from serving.server.locate import Triton
from serving.server.workspace import Workspace, note_group

HOST = "127.0.0.1"
SECRET_VARIABLE = "GANFOUNDRY_ADMIN_SECRET"  # noqa: S105 (its name)
EXIT_TIMEOUT = 5  # seconds the server waits for requests in flight when it is asked to stop

_SECRET = re.compile(r"[A-Za-z0-9_-]{16,256}")
_KEY = "admin-key"
GATE = "gate-key"  # the header with which serving/server/http_gateway.py has models run over HTTP
# What only whoever holds the key may ask for: what changes the server, and what tells of others' work.
_ADMINISTRATION = ("shared-memory", "model-repository", "statistics", "trace", "logging")
_INFERENCE = (
    "inference",
    "metadata",
    "model-config",
)  # over HTTP, which Triton never encrypts, where gRPC is encrypted


@dataclass(frozen=True)
class ServerPorts:
    """Where a server listens. ``grpc`` is the one our client uses."""

    grpc: int = 8001
    http: int = 8000
    metrics: int = 8002


@dataclass(frozen=True)
class Access:
    """Who can reach a server: at which address of this machine, encrypted or not, and the key to its administration.

    ``gate`` is the key of what stands before the HTTP of the bundled one.
    """

    address: str = HOST
    tls: ServerTls | None = None
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    gate: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def check(self, triton: Triton) -> None:
        """Raise ServingError for an address that would expose a server with known holes, and for damaged files."""
        try:
            loopback = ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            raise ServingError(
                f"'{self.address}' is not an IP address: write one of this machine's, or 127.0.0.1"
            ) from None

        if triton.bundled and not loopback:
            raise ServingError(
                f"the bundled Triton ({triton.version}) predates fixes of its security holes and only listens on "
                f"{HOST}: serve the same repository with NVIDIA's container (docs/deploy.md)"
            )
        if self.tls:
            self.tls.check()

    @property
    def connect_to(self) -> str:
        """The address that reaches the server from this machine."""
        address = ipaddress.ip_address(self.address)
        return (HOST if address.version == 4 else "[::1]") if address.is_unspecified else _bracketed(self.address)

    @property
    def headers(self) -> dict[str, str]:
        """What a gRPC request must carry to be let into the administration."""
        return {f"triton-grpc-protocol-{_KEY}": self.secret}

    @property
    def trust(self) -> ClientTls | None:
        """What the supervisor connects with; it has the server's certificate and key."""
        if self.tls is None:
            return None
        own = self.tls if self.tls.clients else None
        certificate, key = (own.certificate, own.key) if own else (None, None)
        return ClientTls(self.tls.certificate, certificate, key, self.tls.name)


def read_secret(file: Path | None = None) -> str | None:
    """The key to the administration in ``file``, else in the environment; None where neither says one.

    Raises ServingError for one that is too short, or holds what Triton would take apart.
    """
    source, text = SECRET_VARIABLE, os.environ.get(SECRET_VARIABLE)
    if file is not None:
        try:
            source, text = str(file), file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ServingError(
                f"{file} cannot be read ({error}): give --admin-secret-file a file with the key"
            ) from None

    if text is None:
        return None
    if not _SECRET.fullmatch(text.strip()):
        raise ServingError(f"the key in {source} must be 16 to 256 letters, digits, '_' and '-'")
    return text.strip()


def command(
    triton: Triton, repository: Path, ports: ServerPorts, access: Access, engine: str, workspace: Workspace
) -> tuple[list[str], list[str]]:
    """The command line, and the arguments behind it that hold keys and are to be hidden.

    Every model is loaded at the start, later ones when they are asked for; nothing is guessed about configurations.
    """
    line = [
        str(triton.program),
        f"--model-repository={workspace.link('models', repository)}",
        "--model-control-mode=explicit",
        "--load-model=*",
        "--disable-auto-complete-config",
        f"--exit-timeout-secs={EXIT_TIMEOUT}",
        f"--backend-config=python,shm-region-prefix-name={workspace.shm_prefix}",
        "--grpc-infer-allocation-pool-size=1",  # each that is kept keeps the memory of the largest request it held
        "--metrics-config=summary_latencies=true",  # since 2.33 (container 23.04)
        "--metrics-config=summary_quantiles=0.5:0.01,0.99:0.001",  # each with the error it may make
    ]

    # Where it listens.
    for service in ("grpc", "http", "metrics"):
        address, port = _as_told(service, access.address), getattr(ports, service)
        line += [f"--{service}-address={address}", f"--{service}-port={port}"]

    # What this server and this command differ in.
    if engine:
        line.append(f"--model-config-name={engine}")
    if triton.bundled:
        line.append(f"--backend-directory={workspace.root / 'backends'}")
    if access.tls:
        line += _encrypted(access.tls)

    # What only whoever holds a key may ask for.
    key = f"{_KEY}={access.secret}"
    over_http = _ADMINISTRATION + (_INFERENCE if access.tls else ())
    closed = [
        f"--grpc-restricted-protocol={','.join(_ADMINISTRATION)}:{key}",
        f"--http-restricted-api={','.join(over_http)}:{key}",
    ]
    if triton.bundled and not access.tls:
        closed.append(f"--http-restricted-api=inference:{GATE}={access.gate}")
    return line, closed


def environment(triton: Triton, workspace: Workspace) -> dict[str, str]:
    """The environment of the server and its stubs: ours, with the libraries and packages the bundled one needs."""
    values = {name: value for name, value in os.environ.items() if name != SECRET_VARIABLE}
    if not triton.bundled:
        return values
    values["GANFOUNDRY_WORK"] = str(workspace.root)
    libraries = [str(workspace.root / "lib"), str(workspace.root / "libs")]
    values["LD_LIBRARY_PATH"] = os.pathsep.join([*libraries, *filter(None, [values.get("LD_LIBRARY_PATH")])])
    values[CORES] = str(usable_cores())
    # The stub ignores PYTHONPATH and PYTHONHOME: it takes the packages of the first python3 on PATH.
    values["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), values.get("PATH", os.defpath)])
    return values


def launch(
    triton: Triton, repository: Path, ports: ServerPorts, access: Access, engine: str, workspace: Workspace
) -> tuple["subprocess.Popen[bytes]", bool]:
    """Start the server in a process group of its own, which is ended when we are; whether its keys are hidden too.

    Where they cannot be hidden, every user of this machine sees them in its list of processes.
    """
    line, closed = command(triton, repository, ports, access, engine, workspace)
    with workspace.log.open("wb") as log:
        how: dict[str, Any] = {
            "env": environment(triton, workspace),
            "cwd": workspace.root,  # the stub imports from its current directory first
            "stdin": subprocess.DEVNULL,
            "stdout": log,
            "stderr": subprocess.STDOUT,
            "start_new_session": True,
            "pass_fds": (workspace.lock,),
        }

        try:
            process = hidden_arguments.start(line, closed, **how)
            keys_are_hidden = True
        except hidden_arguments.CannotHide:
            process = subprocess.Popen([*line, *closed], **how)  # noqa: S603 (a list, no shell)
            keys_are_hidden = False
    note_group(workspace, process.pid)
    return process, keys_are_hidden


def check_ports(ports: ServerPorts, address: str = HOST) -> None:
    """Raise ServingError, naming the port and the flag, if one is taken or is not a port, or two are the same."""
    numbers = {"grpc": ports.grpc, "http": ports.http, "metrics": ports.metrics}
    if len(set(numbers.values())) < len(numbers):
        raise ServingError("the gRPC, HTTP and metrics ports must be three different ones")

    for service, number in numbers.items():
        if not 1 <= number <= 65535:
            raise ServingError(f"{number} is not a port: give --{service}-port a number from 1 to 65535")
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as attempt:
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                attempt.bind((address, number))
        except OSError as error:
            raise ServingError(_why_not_bound(error, service, address, number)) from None


def _why_not_bound(error: OSError, service: str, address: str, number: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {number} is taken: choose another with --{service}-port, or stop what listens there"
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return f"{address} is no address of this machine: give --address one that is, or leave it out"
        case errno.EACCES:
            return f"port {number} is for the administrator alone: choose one above 1023 with --{service}-port"
        case errno.EMFILE:
            return "this process may open no more files: raise 'ulimit -n'"
    return f"port {number} cannot be used ({error.strerror}): choose another with --{service}-port"


def free_ports() -> ServerPorts:
    """Three ports that nothing listens on at the moment."""
    sockets = [socket.socket() for _ in range(3)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return ServerPorts(*(each.getsockname()[1] for each in sockets))
    finally:
        for each in sockets:
            each.close()


def another_port(ports: ServerPorts) -> int:
    """A port that nothing listens on at the moment, and none of ``ports``."""
    while (number := free_ports().http) in (ports.grpc, ports.http, ports.metrics):
        pass
    return number


def _as_told(service: str, address: str) -> str:
    """An address as Triton's servers want it: gRPC an IPv6 one in brackets, libevhtp with what it is before it."""
    if ":" not in address:
        return address
    return _bracketed(address) if service == "grpc" else f"ipv6:{address}"


def _encrypted(tls: ServerTls) -> list[str]:
    flags = ["--grpc-use-ssl=true", f"--grpc-server-cert={tls.certificate.resolve()}"]
    flags.append(f"--grpc-server-key={tls.key.resolve()}")
    if tls.clients:
        flags += ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={tls.clients.resolve()}"]
    return flags


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
