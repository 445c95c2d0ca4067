"""``serve`` itself in a container, with the bundled server: a Dockerfile and how it is run, for one machine."""

from typing import Any

from serving.deploy.command import EXIT_SECONDS, MODELS, PORTS, READY, START_SECONDS
from serving.deploy.compose import confined, limits, models
from serving.deploy.plan import Deployment
from serving.server.launch import HOST

IMAGE = "ganfoundry-serve:local"
_SCRATCH_MIB = 256  # /tmp: the parts of the server that it starts from there, and its log
_ASK = (
    "import urllib.request as u; "
    f"u.build_opener(u.ProxyHandler({{}})).open('http://{HOST}:{PORTS.http}{READY}', timeout=4)"
)
DOCKERFILE = f"""\
# Build it where pyproject.toml is:  docker build -f deploy/NAME/Dockerfile -t {IMAGE} .
# The stub of the bundled server wants libexpat, which the slim image lacks.
FROM python:3.11-trixie
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE cli.py ./
COPY commands ./commands
COPY core ./core
COPY export ./export
COPY serving ./serving
COPY trainer ./trainer
RUN pip install --no-cache-dir --only-binary :all: --constraint constraints.txt ".[serve]" && \\
    rm -r /src/*
ENV HOME=/tmp ORT_DISABLE_TELEMETRY=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /tmp
HEALTHCHECK --interval=10s --timeout=5s --start-period={START_SECONDS}s CMD ["python", "-c", "{_ASK}"]
ENTRYPOINT ["ganfoundry", "serve", "--repository", "{MODELS}"]
"""


def manifests(plan: Deployment) -> dict[str, list[dict[str, Any]] | str]:
    """The files, and what is in them."""
    document = {"name": f"{plan.name}-serve", "services": {"serve": _service(plan)}}
    return {"Dockerfile": DOCKERFILE, "serve.compose.yaml": [document]}


def _service(plan: Deployment) -> dict[str, Any]:
    """On the machine's own network: the bundled server listens on 127.0.0.1 alone, which nothing could be led to.

    What it starts lies in /tmp, so programs may be run from there.
    """
    return {
        "image": IMAGE,
        "pull_policy": "never",
        "network_mode": "host",
        "init": True,
        "volumes": models(plan),
        **confined(plan),
        "tmpfs": [f"/tmp:exec,size={_SCRATCH_MIB}m,mode=1777"],  # noqa: S108 (a mount of the container's)
        "deploy": {"resources": {"limits": limits(plan)}},
        "stop_grace_period": f"{EXIT_SECONDS}s",
    }
