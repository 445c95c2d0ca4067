"""A compose file for one machine, as a plain document."""

from typing import Any

from serving.deploy.command import (
    EXIT_SECONDS,
    MODELS,
    PORTS,
    SCRATCH_MIB,
    START_SECONDS,
    USER,
    ask_models,
    command_line,
    environment,
)
from serving.deploy.plan import Deployment
from serving.server.launch import HOST

KEY_FILE = "admin-key"
_KEY = f"/run/secrets/{KEY_FILE}"
_THREADS, _THREADS_OF_INSTANCE = 256, 32  # several times what Triton was seen to have, with what a stub brings


def manifests(plan: Deployment) -> dict[str, list[dict[str, Any]]]:
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
        "entrypoint": ["/bin/sh", "-c", _script(plan)],
        "environment": environment(plan.gpus),
        "secrets": [KEY_FILE],
        "ports": [f"{HOST}:{port}:{port}" for port in ports],
        "volumes": models(plan),
        "healthcheck": {
            "test": ["CMD", *ask_models(plan.models)],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": f"{START_SECONDS}s",
        },
        **confined(plan),
        "tmpfs": [f"/tmp:size={SCRATCH_MIB}m,mode=1777"],  # noqa: S108 (a mount of the container's)
        "deploy": {"resources": _resources(plan)},
        "stop_grace_period": f"{EXIT_SECONDS + 10}s",
        "restart": "unless-stopped",
        "logging": {"driver": "local"},  # which drops what is old
    }


def models(plan: Deployment) -> list[dict[str, Any]]:
    """The models' folders, read-only where Triton looks for models; SELinux is told that they may be read."""
    return [
        {
            "type": "bind",
            "source": _literally(place),
            "target": f"{MODELS}/{model}",
            "read_only": True,
            "bind": {"create_host_path": False, "selinux": "z"},
        }
        for model, place in zip(plan.models, plan.places, strict=True)
    ]


def confined(plan: Deployment) -> dict[str, Any]:
    """A container with no rights, and nothing to write to but memory."""
    return {
        "user": f"{USER}:{USER}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "shm_size": f"{plan.shared_memory}m",
    }


def limits(plan: Deployment) -> dict[str, Any]:
    """Cores, memory, and processes: a thread counts as one."""
    processes = _THREADS + plan.instances * (_THREADS_OF_INSTANCE + plan.cpus)
    return {"cpus": str(plan.cpus), "memory": f"{plan.memory}g", "pids": processes}


def _script(plan: Deployment) -> str:
    """Triton in the place of the shell, with a key that no one sees who looks at the container.

    Without a key nothing starts: an empty one would keep nobody out.
    """
    line = " ".join(f'"{word}"' for word in command_line(MODELS, key="$key", threads=plan.cpus))
    return _literally(f'key="$(cat {_KEY})" && test -n "$key" && exec {line}')


def _literally(text: str) -> str:
    """Text in which Compose finds no variable to put in: it takes ``$$`` for a dollar sign."""
    return text.replace("$", "$$")


def _resources(plan: Deployment) -> dict[str, Any]:
    resources: dict[str, Any] = {"limits": limits(plan)}
    if plan.gpus:
        devices = [{"driver": "nvidia", "count": plan.gpus, "capabilities": ["gpu"]}]
        resources["reservations"] = {"devices": devices}
    return resources
