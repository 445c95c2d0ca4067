"""What is written is held against the schemas of those who read it, offline; whatever they do not know is an error."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from compose_spec import PyCompose
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from serving.deploy import compose, container, kserve, kubernetes
from serving.deploy.cluster import ADAPTER
from serving.deploy.writing import to_text
from tests.serving.deploy.conftest import DIGEST

OLDEST, NEWEST = "1.30", "1.37"  # of Kubernetes: docs/deploy.md
INFERENCE_SERVICE = "InferenceService"


@pytest.fixture(scope="module", autouse=True)
def read_once() -> Iterator[None]:
    """Kubernetes' definitions are large, and would be read for every document."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes_validate.utils, "schema_contents", cache(schema_contents))
        yield


def check_kubernetes(document: dict[str, Any], version: str) -> None:
    """Raises for unknown fields, wrong types, and kinds that this version does not have."""
    kubernetes_validate.validate(document, version, strict=True)


@pytest.fixture(scope="module")
def inference_service() -> jsonschema.Draft202012Validator:
    """KServe's part of the schema is made by make_kserve_schema.py, Kubernetes' part comes with kubernetes-validate."""
    schema = json.loads(Path(__file__).with_name("kserve.json").read_text())
    definitions = schema_contents(f"kubernetes-json-schema/v{NEWEST}.0-local-strict/_definitions.json", NEWEST)
    registry = Registry().with_resource(definitions["$id"], Resource.from_contents(definitions))
    return jsonschema.Draft202012Validator(schema, registry=registry)


def of_kubernetes(planned) -> list[dict[str, Any]]:
    files = kubernetes.manifests(planned) | kserve.manifests(planned)
    documents = [document for name, each in files.items() if name != ADAPTER for document in each]
    return [document for document in documents if document["kind"] != INFERENCE_SERVICE]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_would_take_every_document(planned, version):
    documents = of_kubernetes(planned)
    assert {document["kind"] for document in documents} == {
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "Pod",
        "PodDisruptionBudget",
        "Service",
    }
    for document in documents:
        check_kubernetes(document, version)


S3, OCI = "s3://pictures/models", f"oci://registry.example/models@{DIGEST}"


@pytest.mark.parametrize(
    ("changes", "versions"),
    [
        ({"storage_class": "efs", "openshift": True}, [OLDEST, NEWEST]),
        ({"source": S3}, [OLDEST, NEWEST]),
        ({"source": OCI}, [NEWEST]),
    ],
)
def test_kubernetes_would_take_what_other_sources_need(planned, changes, versions):
    for document in of_kubernetes(replace(planned, **changes)):
        for version in versions:
            check_kubernetes(document, version)


@pytest.mark.parametrize("changes", [{}, {"source": S3}, {"source": OCI}, {"openshift": True}])
def test_kserve_would_take_the_inference_service(planned, inference_service, changes):
    service = kserve.manifests(replace(planned, **changes))["kserve.yaml"][0]
    assert service["kind"] == INFERENCE_SERVICE
    inference_service.validate(service)


def every_object(value: Any) -> list[dict[str, Any]]:
    """All objects in a document, but for those whose keys are the user's own."""
    if isinstance(value, list):
        return [found for each in value for found in every_object(each)]
    if not isinstance(value, dict):
        return []
    free = {"labels", "annotations", "selector", "matchLabels", "requests", "limits", "metadata", "emptyDir"}
    return [value, *(found for key, each in value.items() if key not in free for found in every_object(each))]


def test_an_unknown_field_is_refused_anywhere_in_a_kubernetes_document(planned):
    """The oracle itself: a schema that lets anything pass would prove nothing."""
    for document in of_kubernetes(planned):
        for position in range(len(every_object(document))):
            spoilt = copy.deepcopy(document)
            every_object(spoilt)[position]["unheardOf"] = "x"
            with pytest.raises(kubernetes_validate.ValidationError):
                check_kubernetes(spoilt, NEWEST)


def test_an_unknown_field_is_refused_anywhere_in_an_inference_service(planned, inference_service):
    service = kserve.manifests(planned)["kserve.yaml"][0]
    positions = range(len(every_object(service)))
    assert len(positions) > 20
    for position in positions:
        spoilt = copy.deepcopy(service)
        every_object(spoilt)[position]["unheardOf"] = "x"
        assert not inference_service.is_valid(spoilt)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda service: service.update(apiVersion="serving.kserve.io/v1alpha1"),
        lambda service: service["spec"].pop("predictor"),
        lambda service: service["spec"]["predictor"].update(minReplicas="two"),
        lambda service: service["spec"]["predictor"]["containers"][0].pop("name"),
        lambda service: service["spec"]["predictor"]["containers"][0]["ports"][0].update(containerPort="grpc"),
    ],
)
def test_a_wrong_inference_service_is_refused(planned, inference_service, spoil):
    service = kserve.manifests(planned)["kserve.yaml"][0]
    spoil(service)
    assert not inference_service.is_valid(service)


def read_compose(document: dict[str, Any]) -> None:
    """Raises ValueError for what the Compose Specification does not know, and for secrets that are not defined.

    It allows a tag or a digest, Docker both, of which the digest counts.
    """
    document = copy.deepcopy(document)
    for service in document["services"].values():
        name, _, digest = service["image"].partition("@")
        service["image"] = f"{name.rpartition(':')[0]}@{digest}" if digest else name
    PyCompose.from_yaml(to_text([document])).validate()


def test_compose_would_take_the_document(planned):
    read_compose(compose.manifests(planned)["compose.yaml"][0])
    read_compose(container.manifests(planned)["serve.compose.yaml"][0])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.update(service={}),
        lambda document: document["services"]["triton"].update(readonly=True),
        lambda document: document["services"]["triton"].update(stop_grace_period="soon"),
        lambda document: document["services"]["triton"]["healthcheck"].update(every="10s"),
        lambda document: document["services"]["triton"]["volumes"][0].update(type="folder"),
        lambda document: document["services"]["triton"]["ports"].append("127.0.0.1:grpc:8001"),
        lambda document: document["secrets"].clear(),
    ],
)
def test_a_wrong_compose_file_is_refused(planned, spoil):
    (document,) = compose.manifests(planned)["compose.yaml"]
    spoil(document)
    with pytest.raises(ValueError, match=r"."):
        read_compose(document)
