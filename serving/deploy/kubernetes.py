"""The manifests of a Deployment on Kubernetes, as plain documents."""

from serving.deploy.cluster import ADAPTER, adapter, claim, guards, metadata, secret_of_source, service, storage
from serving.deploy.command import MODELS
from serving.deploy.plan import Deployment
from serving.deploy.pods import Document, container, labels, pod, rolling, scraped

_DOWNLOADS = "/downloads"


def manifests(plan: Deployment) -> dict[str, list[Document]]:
    """The documents of each file."""
    documents = [_deployment(plan), service(plan, plan.name), *guards(plan, target=plan.name)]
    return {"kubernetes.yaml": documents, **storage(plan), ADAPTER: adapter()}


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
    if plan.source.startswith("s3://"):
        return _pod_that_downloads(plan)
    return _pod_with_image(plan) if plan.source else _pod_with_volume(plan)


def _pod_with_volume(plan: Deployment) -> Document:
    """The models' folders, and no others of the volume, read-only where Triton looks for models."""
    triton = container(plan, "triton", MODELS)
    triton["volumeMounts"] += [
        {"name": "models", "mountPath": f"{MODELS}/{model}", "subPath": f"{plan.release}/{model}", "readOnly": True}
        for model in plan.models
    ]
    spec = pod(plan, triton)
    spec["volumes"].append({"name": "models", "persistentVolumeClaim": {"claimName": claim(plan), "readOnly": True}})
    return spec


def _pod_with_image(plan: Deployment) -> Document:
    """An image as a volume, which the machine fetches before anything starts. Its models are in its folder /models."""
    triton = container(plan, "triton", MODELS)
    triton["volumeMounts"].append({"name": "models", "mountPath": MODELS, "subPath": MODELS[1:], "readOnly": True})
    spec = pod(plan, triton)
    image = {"reference": plan.source.removeprefix("oci://"), "pullPolicy": "IfNotPresent"}
    spec["volumes"].append({"name": "models", "image": image})
    return spec


def _pod_that_downloads(plan: Deployment) -> Document:
    """Triton copies the models itself, to the machine's disk, with the keys that a Secret holds, where there is one."""
    triton = container(plan, "triton", f"{plan.source}/{plan.release}")
    triton["envFrom"] = [{"secretRef": {"name": secret_of_source(plan), "optional": True}}]
    triton["env"].append({"name": "TRITON_AWS_MOUNT_DIRECTORY", "value": _DOWNLOADS})
    triton["volumeMounts"].append({"name": "downloads", "mountPath": _DOWNLOADS})
    spec = pod(plan, triton)
    spec["volumes"].append({"name": "downloads", "emptyDir": {"sizeLimit": "10Gi"}})
    return spec
