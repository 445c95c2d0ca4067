"""``serve``, and what looks at a server under load: ``tune`` and ``top``."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.console import console, print_wide, say, say_all
from commands.options import REPOSITORY, Repository
from core.system import need_linux


def serve(
    repository: Repository = REPOSITORY,
    grpc_port: Annotated[int, typer.Option(help="The port that clients ask over gRPC.")] = 8001,
    http_port: Annotated[
        int, typer.Option(help="The port that clients ask over HTTP, and that says whether the server is ready.")
    ] = 8000,
    metrics_port: Annotated[int, typer.Option(help="The port that Prometheus reads.")] = 8002,
    tritonserver: Annotated[Path | None, typer.Option(help="Triton's program: the bundled one unless given.")] = None,
    address: Annotated[
        str,
        typer.Option(
            help="The address it listens on. The bundled server takes loopback only, because it has known holes."
        ),
    ] = "127.0.0.1",
    engine: Annotated[
        Literal["cpu", "ort_trt", "tensorrt"] | None,
        typer.Option(
            help="What computes. Unless given, ONNX Runtime, on a GPU where there is one. cpu: never on a GPU. "
            "ort_trt and tensorrt need NVIDIA's own server."
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Encrypt gRPC with this certificate of the server, a PEM file.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of that certificate, a PEM file.")] = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            help="Answer only clients whose certificates this CA signed. It must have signed the server's too."
        ),
    ] = None,
    admin_secret_file: Annotated[
        Path | None,
        typer.Option(
            help="The file with the key that opens loading, statistics and shared memory. Unless given it is in "
            "GANFOUNDRY_ADMIN_SECRET, and unless that is set nobody knows it."
        ),
    ] = None,
    log_format: Annotated[
        Literal["text", "json"], typer.Option(help="How events are written: text to read, or a JSON object a line.")
    ] = "text",
) -> None:
    """Serve every published model with Triton, until Ctrl-C.

    What dies is restarted, and what is published meanwhile is loaded.
    """
    need_linux("serve")
    if (tls_cert is None) != (tls_key is None) or (tls_ca and not tls_cert):
        raise typer.BadParameter("--tls-cert and --tls-key go together, and --tls-ca with both")

    from serving.protocol.tls import ServerTls
    from serving.server.events import EventLog
    from serving.server.launch import Access, ServerPorts, read_secret
    from serving.server.supervisor import serve as serve_models

    tls = ServerTls(tls_cert, tls_key, tls_ca) if tls_cert and tls_key else None
    secret = read_secret(admin_secret_file)
    access = Access(address, tls, secret) if secret else Access(address, tls)
    ports = ServerPorts(grpc_port, http_port, metrics_port)
    with EventLog(sys.stdout, log_format) as log:
        serve_models(repository, ports, tritonserver, log, access=access, engine=engine or "")


def tune(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The name of a published model. Its models for thin clients are configured with it."
        ),
    ],
    repository: Repository = REPOSITORY,
    p99_ms: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="The milliseconds within which 99 of 100 requests must be answered. Unless given, 50, or ten times "
            "what one takes alone if that is more.",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="How long each rate of requests is tried. More gives steadier figures.")
    ] = 2.0,
    images: Annotated[int, typer.Option(min=1, help="How many images each request asks for.")] = 1,
    seed: Annotated[
        int, typer.Option(min=0, help="The number that fixes the random moments at which requests are sent.")
    ] = 0,
    out: Annotated[Path | None, typer.Option(help="The PNG file of the plot: tuning/NAME.png unless given.")] = None,
    json: Annotated[Path | None, typer.Option(help="A JSON file for everything that was measured.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure only, and leave the configuration as it is.")
    ] = False,
) -> None:
    """Find a model's best batches and threads, and set them.

    They are measured under load, on this machine.
    """
    need_linux("tune")
    from serving.sampling.files import make_places
    from serving.tuning.bench import Effort
    from serving.tuning.command import tune as find_best
    from serving.tuning.report import save, table, verdict

    picture = out or Path("tuning", f"{name}.png")
    tuned = find_best(
        name,
        repository,
        Effort(seconds, images, seed),
        p99_ms,
        dry_run=dry_run,
        tell=say,
        ready=lambda: make_places(picture.parent, picture, json),
    )

    print_wide(table(tuned.found))
    say_all(f"written: {path}" for path in save(tuned, name, picture, json))
    say(verdict(tuned))


def top(
    metrics_url: Annotated[
        str, typer.Option(help="The address of the server's metrics.")
    ] = "http://localhost:8002/metrics",
    http_url: Annotated[
        str | None,
        typer.Option(
            help="The server's HTTP address, which knows how long queues may get: port 8000 of the same host unless "
            "given."
        ),
    ] = None,
    every: Annotated[float, typer.Option(min=0.5, help="How many seconds lie between two looks.")] = 2.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look once and end. Without a terminal this is the default.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Look once and print JSON.")] = False,
) -> None:
    """Watch what a server does, until Ctrl-C.

    It shows requests, images, batches, latency, queues, failures and rejects of each model.
    """
    from serving.monitoring.top import Reader, measure, table, watch

    read = Reader(metrics_url, http_url).read
    if json:
        console.print_json(data=asdict(measure(read, every)))
    elif once or not console.is_terminal:
        print_wide(table(measure(read, every)))
    else:
        watch(read, every, console)
