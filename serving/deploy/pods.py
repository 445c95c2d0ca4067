"""The pod that runs Triton, as a Deployment of ours and KServe both want it."""

from typing import Any

from serving.deploy.command import (
    DEAD_SECONDS,
    DRAIN_SECONDS,
    PORTS,
    READY,
    SCRATCH_MIB,
    START_SECONDS,
    STOP_SECONDS,
    USER,
    ask_models,
    command_line,
    environment,
)
from serving.deploy.plan import Deployment

Document = dict[str, Any]

ADMIN_KEY = "ADMIN_KEY"
_PROBE_SECONDS = 5


def labels(plan: Deployment) -> Document:
    """What a server's pods are known by."""
    return {"app.kubernetes.io/name": plan.name, "app.kubernetes.io/part-of": "ganfoundry"}


def scraped() -> Document:
    """Annotations by which Prometheus, as its community chart sets it up, finds the metrics of a pod."""
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORTS.metrics), "prometheus.io/path": "/metrics"}


def container(plan: Deployment, name: str, repository: str) -> Document:
    """Triton serving ``repository``, with no rights, nothing to write to, and its health asked for."""
    program, *flags = command_line(repository, key=f"$({ADMIN_KEY})", threads=plan.cpus)

    return {
        "name": name,
        "image": plan.image,
        "command": [program],
        "args": flags,
        "env": [
            {"name": ADMIN_KEY, "valueFrom": {"secretKeyRef": {"name": f"{plan.name}-admin", "key": "key"}}},
            *({"name": key, "value": value} for key, value in environment(plan.gpus).items()),
        ],
        "ports": [
            {"name": "grpc", "containerPort": PORTS.grpc, "protocol": "TCP"},
            {"name": "http", "containerPort": PORTS.http, "protocol": "TCP"},
            {"name": "metrics", "containerPort": PORTS.metrics, "protocol": "TCP"},
        ],
        **_probes(plan),
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "resources": _resources(plan),
        "securityContext": confined(),
        "volumeMounts": [
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 (a mount of the container's)
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108
        ],
    }


def pod(plan: Deployment, *containers: Document) -> Document:
    """The pod around ``containers``: who runs them, what they may write to, where they go, how they end."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels(plan)},
    }

    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": unprivileged(plan),
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "topologySpreadConstraints": [spread],
        "containers": list(containers),
        "volumes": [_in_memory("shared-memory", plan.shared_memory), _in_memory("scratch", SCRATCH_MIB)],
    }


def confined() -> Document:
    """What a container may do: nothing that takes a right, and nothing to its own files."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def unprivileged(plan: Deployment) -> Document:
    """Who a pod runs as: OpenShift gives each namespace a range of users of its own, and takes no other."""
    user = {} if plan.openshift else {"runAsUser": USER, "runAsGroup": USER}
    return {"runAsNonRoot": True} | user | {"seccompProfile": {"type": "RuntimeDefault"}}


def rolling() -> Document:
    """A new pod is ready before an old one goes."""
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def _probes(plan: Deployment) -> Document:
    """The server may take its time to load, gets requests while all is ready, is restarted when a model has died.

    Liveness counts only once the start-up probe has succeeded, so that it never ends a server that still loads.
    """
    ready = {"httpGet": {"path": READY, "port": "http"}, "timeoutSeconds": _PROBE_SECONDS}
    every = {"periodSeconds": _PROBE_SECONDS}

    return {
        "startupProbe": ready | every | {"failureThreshold": START_SECONDS // _PROBE_SECONDS},
        "readinessProbe": ready | every | {"failureThreshold": 2},
        "livenessProbe": {
            "exec": {"command": ask_models(plan.models)},
            "timeoutSeconds": _PROBE_SECONDS,
            "periodSeconds": 2 * _PROBE_SECONDS,
            "failureThreshold": 3,
            "terminationGracePeriodSeconds": DEAD_SECONDS,
        },
    }


def _resources(plan: Deployment) -> Document:
    """No limit of CPUs: there are no more threads than were asked for, and they may use what others leave idle."""
    memory, gpus = {"memory": f"{plan.memory}Gi"}, {"nvidia.com/gpu": plan.gpus} if plan.gpus else {}
    return {"requests": {"cpu": plan.cpus} | memory | gpus, "limits": memory | gpus}


def _in_memory(name: str, size: int) -> Document:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": f"{size}Mi"}}
