"""The manifests of a Deployment on Kubernetes, as plain documents."""

from serving.deploy.cluster import ADAPTER, STORAGE, adapter, claim, guards, metadata, storage
from serving.deploy.command import MODELS, PORTS
from serving.deploy.plan import Deployment
from serving.deploy.pods import Document, container, labels, pod, rolling, scraped


def render(plan: Deployment) -> dict[str, list[Document]]:
    """The documents of each file."""
    documents = [_deployment(plan), _service(plan), *guards(plan, target=plan.name)]
    return {"kubernetes.yaml": documents, STORAGE: storage(plan), ADAPTER: adapter()}


def _deployment(plan: Deployment) -> Document:
    """No number of replicas: that is the autoscaler's, and applying this again would undo it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(plan),
        "spec": {
            "selector": {"matchLabels": labels(plan)},
            "strategy": rolling(),
            "template": {"metadata": {"labels": labels(plan), "annotations": scraped()}, "spec": _pod(plan)},
        },
    }


def _pod(plan: Deployment) -> Document:
    """The models' folders, and no others of the volume, read-only where Triton looks for models."""
    triton = container(plan, "triton", MODELS)
    triton["volumeMounts"] += [
        {"name": "models", "mountPath": f"{MODELS}/{model}", "subPath": f"{plan.release}/{model}", "readOnly": True}
        for model in plan.models
    ]
    spec = pod(plan, triton)
    spec["volumes"].append({"name": "models", "persistentVolumeClaim": {"claimName": claim(plan), "readOnly": True}})
    return spec


def _service(plan: Deployment) -> Document:
    """gRPC only: health is for the machine a pod is on, metrics for Prometheus, which goes to each pod."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan),
        "spec": {
            "selector": labels(plan),
            "ports": [{"name": "grpc", "port": PORTS.grpc, "targetPort": "grpc", "protocol": "TCP"}],
        },
    }
