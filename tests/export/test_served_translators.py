"""Every family that translates: published, served by a real Triton, and asked for what PyTorch makes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.bundle import GOLDEN, GRAPH, write_manifest
from core.contract import OPSET, SOURCE, sample_inputs
from core.difference import MOST_LEVELS, levels_apart
from core.golden import Golden
from core.images import encode_png
from core.networks import TRANSLATORS
from serving.client.sampler import Translator
from serving.protocol.grpc import connect, infer_inputs
from serving.publishing import publish
from serving.repository.golden import images_in
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from tests.export.conftest import ship

WHAT = "grey to larger RGB"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Supervisor]:
    """A Triton with a translator of each family, called as it is."""
    place = tmp_path_factory.mktemp("translators")
    for family in TRANSLATORS:
        publish(bundle_of(place / family, family), family, place / "repository", trial=False)
    with Supervisor(place / "repository", free_ports()) as supervisor:
        yield supervisor


def bundle_of(path: Path, family: str) -> Path:
    shipped = ship(family, WHAT)
    inputs = sample_inputs(shipped.graph.generator.spec, range(4))
    path.mkdir()
    (path / GRAPH).write_bytes(shipped.model.SerializeToString())
    (path / GOLDEN).write_bytes(Golden(inputs, shipped.graph.images(inputs)).to_bytes())
    write_manifest(path, spec=shipped.graph.generator.spec, opset=OPSET)
    return path


@pytest.mark.parametrize("family", TRANSLATORS)
def test_a_picture_is_translated_as_in_pytorch(served, family):
    """Alone and in any batch, as an array and as a file."""
    graph = ship(family, WHAT).graph
    sources = sample_inputs(graph.generator.spec, range(20, 37))
    expected = graph.images(sources)
    assert np.ptp(expected) > 100
    for batch in (1, 17):
        with Translator(family, served.url, batch=batch) as translator:
            found = np.stack([*translator.translate(sources[SOURCE])])
        assert levels_apart(found, expected) <= MOST_LEVELS
    files = np.array([[encode_png(source)] for source in sources[SOURCE]], np.object_)
    with connect(served.url) as client:
        given = client.infer(f"{family}_png", infer_inputs({"png": files})).as_numpy("png")
    assert levels_apart(images_in(given, expected.shape[3]), expected) <= MOST_LEVELS
