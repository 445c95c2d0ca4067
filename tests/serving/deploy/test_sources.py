"""Where the models of a cluster come from: a volume, an image, S3."""

from dataclasses import replace
from typing import Any

import pytest

from serving.deploy.writing import TARGETS
from tests.serving.deploy.conftest import DIGEST
from tests.serving.deploy.rendered import CLUSTERS, of_kind, pods, rendered, server


def claimed(planned, target: str) -> dict[str, Any]:
    (document,) = of_kind(rendered(planned, target), "PersistentVolumeClaim")
    return document["spec"]


@pytest.mark.parametrize("target", CLUSTERS)
def test_a_volume_is_of_the_class_that_was_asked_for(planned, target):
    assert "storageClassName" not in claimed(planned, target), "the cluster's own, where it has one"
    assert claimed(replace(planned, storage_class="efs"), target)["storageClassName"] == "efs"
    assert claimed(planned, target)["accessModes"] == ["ReadWriteMany"]


S3, OCI = "s3://pictures/models", f"oci://registry.example/models:2@{DIGEST}"


@pytest.mark.parametrize("target", CLUSTERS)
@pytest.mark.parametrize("source", [S3, OCI])
def test_models_from_elsewhere_take_no_volume_and_only_s3_is_gone_out_for(planned, target, source):
    documents = rendered(replace(planned, source=source), target)
    assert not of_kind(documents, "PersistentVolumeClaim")
    assert not of_kind(documents, "Pod"), "nothing is to be copied"
    assert "storage.yaml" not in TARGETS[target](replace(planned, source=source))
    _, pod, _ = server(documents)
    assert "persistentVolumeClaim" not in str(pod)
    (policy,) = of_kind(documents, "NetworkPolicy")
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
    assert ports == ([443, 53, 53] if source == S3 else [])


def test_kserve_fetches_models_itself(planned):
    for source, uri in ((S3, f"{S3}/v2"), (OCI, OCI)):
        _, pod, container = server(rendered(replace(planned, source=source), "kserve"))
        (where,) = [each["value"] for each in container["env"] if each["name"] == "STORAGE_URI"]
        assert where == uri
        assert pod.get("serviceAccountName") == ("sprites-s3" if source == S3 else None)


def test_kubernetes_mounts_the_models_of_an_image_read_only(planned):
    _, pod, container = server(rendered(replace(planned, source=OCI), "kubernetes"))
    (volume,) = [each for each in pod["volumes"] if each["name"] == "models"]
    assert volume["image"]["reference"] == OCI.removeprefix("oci://")
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "models"]
    assert mount == {"name": "models", "mountPath": "/models", "subPath": "models", "readOnly": True}
    assert "--model-repository=/models" in container["args"]


def test_triton_fetches_models_from_s3_to_a_disk(planned):
    _, pod, container = server(rendered(replace(planned, source=S3), "kubernetes"))
    assert f"--model-repository={S3}/v2" in container["args"]
    assert container["envFrom"] == [{"secretRef": {"name": "sprites-s3", "optional": True}}]
    (place,) = [each["value"] for each in container["env"] if each["name"] == "TRITON_AWS_MOUNT_DIRECTORY"]
    (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == place]
    (volume,) = [each for each in pod["volumes"] if each["name"] == mount["name"]]
    assert "medium" not in volume["emptyDir"], "memory"


@pytest.mark.parametrize("target", CLUSTERS)
def test_openshift_chooses_the_user_itself(planned, target):
    """It refuses a pod that names one outside of its namespace's range."""
    for _, pod in pods(rendered(replace(planned, openshift=True), target)):
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
