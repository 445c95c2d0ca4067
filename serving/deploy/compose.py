"""A compose file for one machine, as a plain document."""

from typing import Any

from serving.deploy.command import (
    EXIT_SECONDS,
    MODELS,
    PORTS,
    SCRATCH_MIB,
    SHARED_MEMORY_MIB,
    START_SECONDS,
    USER,
    ask_models,
    command_line,
    environment,
)
from serving.deploy.plan import Deployment
from serving.launching import HOST

KEY_FILE = "admin-key"
_KEY = f"/run/secrets/{KEY_FILE}"
_PROCESSES = 1024


def render(plan: Deployment) -> dict[str, list[dict[str, Any]]]:
    """The documents of each file."""
    document = {
        "name": plan.name,
        "services": {"triton": _service(plan)},
        "secrets": {KEY_FILE: {"file": f"./{KEY_FILE}"}},
    }
    return {"compose.yaml": [document]}


def _service(plan: Deployment) -> dict[str, Any]:
    ports = (PORTS.grpc, PORTS.http, PORTS.metrics)
    return {
        "image": plan.image,
        "entrypoint": ["/bin/sh", "-c", _script()],
        "environment": environment(plan.gpus),
        "secrets": [KEY_FILE],
        "ports": [f"{HOST}:{port}:{port}" for port in ports],
        "volumes": [
            {
                "type": "bind",
                "source": f"{plan.repository}/{model}",
                "target": f"{MODELS}/{model}",
                "read_only": True,
                "bind": {"create_host_path": False},
            }
            for model in plan.models
        ],
        "healthcheck": {
            "test": ["CMD", *ask_models(plan.models)],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": f"{START_SECONDS}s",
        },
        "user": f"{USER}:{USER}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "shm_size": f"{SHARED_MEMORY_MIB}m",
        "tmpfs": [f"/tmp:size={SCRATCH_MIB}m,mode=1777"],  # noqa: S108 (a mount of the container's)
        "deploy": {"resources": _resources(plan)},
        "stop_grace_period": f"{EXIT_SECONDS + 10}s",
        "restart": "unless-stopped",
        "logging": {"driver": "local"},  # which drops what is old
    }


def _script() -> str:
    """Triton in the place of the shell, with a key that no one sees who looks at the container.

    Without a key nothing starts: an empty one would keep nobody out. Compose takes ``$$`` for a dollar sign.
    """
    line = " ".join(f'"{word}"' for word in command_line(MODELS, key="$key"))
    return f'key="$(cat {_KEY})" && test -n "$key" && exec {line}'.replace("$", "$$")


def _resources(plan: Deployment) -> dict[str, Any]:
    resources: dict[str, Any] = {"limits": {"memory": f"{plan.memory}g", "pids": _PROCESSES}}
    if plan.gpus:
        devices = [{"driver": "nvidia", "count": plan.gpus, "capabilities": ["gpu"]}]
        resources["reservations"] = {"devices": devices}
    return resources
