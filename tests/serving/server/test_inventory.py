"""A served version that is asked for its golden values, by hand: no server."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from serving.repository.golden import Reference
from serving.server.inventory import ServedVersion
from tests.serving.repository.test_golden import IMAGES, LATENTS, OF_STYLES, STYLES, packed


def test_what_is_asked_of_a_server():
    told = {}

    def async_infer(model, inputs, answered, **how):
        told.update(how, model=model, inputs=inputs)
        answered(SimpleNamespace(as_numpy=lambda name: name), None)

    watched = ServedVersion("tiny", "3", OF_STYLES, max_batch=8)
    answer = watched.ask(SimpleNamespace(async_infer=async_infer), 1, 3, 2.5)
    assert isinstance(answer, Future)
    assert answer.result() == "w"
    assert (told["model"], told["model_version"], told["client_timeout"]) == ("tiny", "3", 2.5)
    (given,) = told["inputs"]
    assert (given.name(), given.shape(), given.datatype()) == ("z", [2, 2], "FP32")
    assert watched.instances == 1


@pytest.mark.parametrize(
    ("output", "values", "what"),
    [("w", STYLES, "styles"), ("z", STYLES, "latents"), ("image", IMAGES, "images"), ("png", IMAGES, "images")],
)
def test_what_is_said_of_a_model_that_differs(output, values, what):
    watched = ServedVersion("tiny", "3", Reference(LATENTS, output, values), max_batch=8)
    given = packed(*values) if output == "png" else values
    assert watched.difference(given[1:], 1) is None
    said = watched.difference(given[1:], 0)
    assert said.startswith(f"'tiny' version 3 does not make its golden {what} (")
