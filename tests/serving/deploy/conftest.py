"""One repository to deploy from: ``sprites`` with two parts and a helper, and a model that does not belong to it."""

from pathlib import Path
from typing import Any

import pytest

from serving.deploy.plan import Deployment, plan
from serving.deploy.writing import TARGETS
from serving.protocol.model_config import WHOLE
from serving.repository.layout import CONFIG
from tests.serving.conftest import publish
from tests.serving.deploy.rendered import rendered

MODELS = ("sprites", "sprites_mapping", "sprites_png", "sprites_synthesis")
DIGEST = "sha256:" + "a1" * 32
IMAGE = f"registry.example/tritonserver:26.11-py3@{DIGEST}"

# As whoever writes a model in Python may configure it: with settings that publish does not know.
HELPER = f"""
backend: "python"
input {{ name: "image" data_type: TYPE_UINT8 dims: [ -1 ] }}
output {{ name: "png" data_type: TYPE_STRING dims: [ 1 ] }}
version_policy {{ all {{ }} }}
parameters {{ key: "{WHOLE}" value {{ string_value: "sprites" }} }}
"""


@pytest.fixture(scope="session")
def repository(tmp_path_factory, style_bundle, bundle) -> Path:
    repository = tmp_path_factory.mktemp("deployed") / "model_repository"
    publish(style_bundle, "sprites", repository)
    publish(style_bundle, "sprites", repository)
    publish(bundle, "other", repository)
    helper = repository / "sprites_png"
    (helper / "1").mkdir(parents=True)
    (helper / CONFIG).write_text(HELPER)
    return repository


@pytest.fixture(scope="session")
def planned(repository) -> Deployment:
    return plan("sprites", repository, repository.parent / "deploy" / "sprites", image=IMAGE, gpus=1)


@pytest.fixture(params=[target for target in TARGETS if target != "container"])
def target(request) -> str:
    return request.param


@pytest.fixture
def documents(target, planned) -> list[dict[str, Any]]:
    """Every document of one target, whatever file it is in."""
    return rendered(planned, target)
