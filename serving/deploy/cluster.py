"""What stands around the pods of a cluster: who may reach them, how many there are, and where their models lie."""

from serving.deploy.command import PORTS, USER
from serving.deploy.plan import Deployment
from serving.deploy.pods import Document, confined, labels, unprivileged

ADAPTER = "prometheus-adapter.yaml"
STORAGE = "storage.yaml"

QUEUE_METRIC = "triton_queue_seconds"
_QUEUE_SECONDS = "50m"  # a twentieth of a second: about ten times what a small image takes on a CPU
_STORAGE_SIZE = "10Gi"
_LOADER_SECONDS = 3600
_HTTPS, _DNS = {"port": 443, "protocol": "TCP"}, 53


def guards(plan: Deployment, target: str) -> list[Document]:
    """The documents that guard the pods of the Kubernetes Deployment ``target``."""
    return [_disruption_budget(plan), _network_policy(plan), _autoscaler(plan, target)]


def metadata(plan: Deployment, name: str = "") -> Document:
    """A document's name and labels."""
    return {"name": name or plan.name, "labels": labels(plan)}


def claim(plan: Deployment) -> str:
    """The name of the volume claim that holds the models."""
    return f"{plan.name}-models"


def client_label(plan: Deployment) -> dict[str, str]:
    """What a pod must carry to be let in."""
    return {f"{plan.name}-client": "true"}


def adapter() -> list[Document]:
    """Values of prometheus-adapter's chart: seconds a request waited in the queue, on average over two minutes.

    Idle servers wait 0 seconds, for which the denominator must not be 0.
    """
    waited, served = "nv_inference_queue_duration_us", "nv_inference_request_success"
    rates = [f"sum(rate({series}{{<<.LabelMatchers>>}}[2m])) by (<<.GroupBy>>)" for series in (waited, served)]
    rule = {
        "seriesQuery": f'{waited}{{namespace!="",pod!=""}}',
        "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
        "name": {"as": QUEUE_METRIC},
        "metricsQuery": f"{rates[0]} / clamp_min({rates[1]}, 0.001) / 1e6",
    }
    return [{"rules": {"custom": [rule]}}]


def secret_of_source(plan: Deployment) -> str:
    """The name of the Secret, and of KServe's service account, with the keys to where the models come from."""
    return f"{plan.name}-s3"


def service(plan: Deployment, name: str) -> Document:
    """gRPC only: health is for the machine a pod is on, metrics for Prometheus, which goes to each pod."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan, name),
        "spec": {
            "selector": labels(plan),
            "ports": [{"name": "grpc", "port": PORTS.grpc, "targetPort": "grpc", "protocol": "TCP"}],
        },
    }


def storage(plan: Deployment) -> dict[str, list[Document]]:
    """The file with the claim that the models lie on, and a pod to copy them with, which ends by itself.

    None where the models come from elsewhere.
    """
    if plan.source:
        return {}
    claimed = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(plan, claim(plan)),
        "spec": {
            "accessModes": ["ReadWriteMany"],
            **({"storageClassName": plan.storage_class} if plan.storage_class else {}),
            "resources": {"requests": {"storage": _STORAGE_SIZE}},
        },
    }

    return {STORAGE: [claimed, _loader(plan)]}


def _loader(plan: Deployment) -> Document:
    name = f"{plan.name}-loader"
    copying = {
        "name": "loader",
        "image": plan.image,
        "command": ["sleep", str(_LOADER_SECONDS)],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": confined(),
        "volumeMounts": [{"name": "models", "mountPath": "/mnt/models"}],
    }

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": unprivileged(plan) | ({} if plan.openshift else {"fsGroup": USER}),
            "activeDeadlineSeconds": _LOADER_SECONDS,
            "restartPolicy": "Never",
            "containers": [copying],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": claim(plan)}}],
        },
    }


def _disruption_budget(plan: Deployment) -> Document:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(plan),
        "spec": {"minAvailable": plan.replicas - 1, "selector": {"matchLabels": labels(plan)}},
    }


def _network_policy(plan: Deployment) -> Document:
    """Clients to gRPC, Prometheus to the metrics, nothing out, but to where the models come from.

    A machine may always ask its own pods for health.
    """
    clients = {"podSelector": {"matchLabels": client_label(plan)}}
    prometheus = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": plan.prometheus_namespace}},
    }

    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(plan),
        "spec": {
            "podSelector": {"matchLabels": labels(plan)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [clients], "ports": [{"port": PORTS.grpc, "protocol": "TCP"}]},
                {"from": [prometheus], "ports": [{"port": PORTS.metrics, "protocol": "TCP"}]},
            ],
            "egress": _way_to_s3() if plan.source.startswith("s3://") else [],
        },
    }


def _way_to_s3() -> list[Document]:
    names = [{"port": _DNS, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return [{"ports": [_HTTPS]}, {"ports": names}]


def _autoscaler(plan: Deployment, target: str) -> Document:
    """Slow in both directions, for the time in the queue does not fall in proportion to the servers."""
    metric = {"metric": {"name": QUEUE_METRIC}, "target": {"type": "AverageValue", "averageValue": _QUEUE_SECONDS}}

    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(plan),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": plan.replicas,
            "maxReplicas": plan.max_replicas,
            "metrics": [{"type": "Pods", "pods": metric}],
            "behavior": {
                "scaleUp": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 60}]},
                "scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
            },
        },
    }
