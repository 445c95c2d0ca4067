"""A KServe InferenceService, and what stands around its pods, as plain documents."""

from typing import Any

from serving.deploy.cluster import ADAPTER, adapter, claim, guards, secret_of_source, service, storage
from serving.deploy.plan import Deployment
from serving.deploy.pods import Document, container, labels, pod, rolling, scraped

_MODELS = "/mnt/models"  # where KServe puts what STORAGE_URI names


def manifests(plan: Deployment) -> dict[str, list[Document]]:
    """The documents of each file.

    The Service that KServe makes has no address where its configuration says ``serviceClusterIPNone``, and so no port
    but the container's: clients ask one of ours.
    """
    reached = service(plan, f"{plan.name}-grpc")
    documents = [_inference_service(plan), reached, *guards(plan, target=f"{plan.name}-predictor")]
    return {"kserve.yaml": documents, **storage(plan), ADAPTER: adapter()}


def _inference_service(plan: Deployment) -> Document:
    """A custom predictor in Standard mode: KServe makes the Deployment and the Service, the autoscaler is ours.

    Nothing outside the cluster reaches it: without that label, KServe would route to it from its gateway.
    """
    modes = {"serving.kserve.io/deploymentMode": "Standard", "serving.kserve.io/autoscalerClass": "external"}
    inside = {"networking.kserve.io/visibility": "cluster-local"}

    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": plan.name, "labels": labels(plan) | inside, "annotations": modes},
        "spec": {
            "predictor": {
                "labels": labels(plan),
                "annotations": scraped(),
                "minReplicas": plan.replicas,
                "maxReplicas": plan.max_replicas,
                "deploymentStrategy": rolling(),
                **_account(plan),
                **pod(plan, _container(plan)),
            }
        },
    }


def _account(plan: Deployment) -> dict[str, Any]:
    """KServe takes the keys to S3 from the Secret of a service account."""
    return {"serviceAccountName": secret_of_source(plan)} if plan.source.startswith("s3://") else {}


def _container(plan: Deployment) -> Document:
    """The first port becomes that of KServe's Service. Where there is no limit of CPUs, KServe would set its own."""
    triton = container(plan, "kserve-container", _MODELS)
    triton["env"].append({"name": "STORAGE_URI", "value": _models_of(plan)})
    triton["resources"]["limits"]["cpu"] = plan.cpus
    return triton


def _models_of(plan: Deployment) -> str:
    if plan.source.startswith("oci://"):
        return plan.source
    return f"{plan.source or f'pvc://{claim(plan)}'}/{plan.release}"
