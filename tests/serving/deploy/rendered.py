"""What is written, taken apart."""

from typing import Any

from serving.deploy.writing import TARGETS

CLUSTERS = ("kubernetes", "kserve")


def walk(value: Any, path: tuple = ()) -> list[tuple[tuple, Any]]:
    """Every value in a document with the way to it."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value), *(found for key, each in children for found in walk(each, (*path, key)))]


def rendered(planned, target: str) -> list[dict[str, Any]]:
    return [document for each in TARGETS[target](planned).values() if not isinstance(each, str) for document in each]


def of_kind(documents, kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document.get("kind") == kind]


def pods(documents) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The labels and the specification of every pod that these documents bring about."""
    found = [(each["metadata"]["labels"], each["spec"]) for each in of_kind(documents, "Pod")]
    for each in of_kind(documents, "Deployment"):
        found.append((each["spec"]["template"]["metadata"]["labels"], each["spec"]["template"]["spec"]))
    for each in of_kind(documents, "InferenceService"):
        found.append((each["spec"]["predictor"]["labels"], each["spec"]["predictor"]))
    return found


def server(documents) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Labels, pod and container of Triton itself."""
    ((labels, pod),) = [(labels, pod) for labels, pod in pods(documents) if "restartPolicy" not in pod]
    (container,) = pod["containers"]
    return labels, pod, container
