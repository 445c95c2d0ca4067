"""The spec: the same after JSON, and nothing half-right gets in."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SpecError
from core.spec import GeneratorSpec, Provenance

SPEC = GeneratorSpec(
    "dcgan", 96, 64, 4, 100, classes=("cat", "dog"), codes=2, options={"width": 32}, provenance=Provenance("dcgan", 640)
)


@given(
    st.sampled_from([(64, 64), (28, 28), (96, 64)]),
    st.sampled_from([1, 3, 4]),
    st.integers(1, 65_536),
    st.lists(st.text(), max_size=4),
    st.dictionaries(st.text(), st.integers() | st.text() | st.booleans(), max_size=3),
)
def test_json_there_and_back(
    size: tuple[int, int], channels: int, dim: int, classes: list[str], options: dict[str, object]
) -> None:
    spec = GeneratorSpec("any", *size, channels, dim, classes=tuple(classes), options=options)
    assert GeneratorSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("family", 3, "family"),
        ("height", "64", "height"),
        ("height", 64.0, "height"),
        ("height", True, "height"),
        ("height", 0, "1 to 2048"),
        ("width", 2049, "1 to 2048"),
        ("channels", 2, "1, 3 or 4"),
        ("latent_dim", 0, "latent_dim"),
        ("latent_dim", 10**9, "latent_dim"),
        ("classes", "cat", "classes"),
        ("classes", [1], "classes"),
        ("codes", -1, "codes"),
        ("codes", 10**9, "codes"),
        ("noise", -1, "noise"),
        ("noise", 10**9, "noise"),
        ("noise", 1.0, "noise"),
        ("options", [], "options"),
        ("value_range", [1], "value_range"),
        ("value_range", [1, "2"], "value_range"),
        ("value_range", [1, -1], "empty"),
        ("value_range", [float("-inf"), 1], "infinite"),
        ("value_range", [0, float("nan")], "infinite"),
        ("value_range", [0, 10**400], "infinite"),
        ("kind", "dream", "kind"),
        ("provenance", [], "provenance"),
        ("provenance", {"images_seen": "many"}, "images_seen"),
        ("format_version", 99, "format version 99"),
        ("colour", "red", "does not know"),
    ],
)
def test_each_wrong_field_is_named(field: str, value: object, says: str) -> None:
    text = json.dumps({**json.loads(SPEC.to_json()), field: value})
    with pytest.raises(SpecError, match=says) as error:
        GeneratorSpec.from_json(text)
    assert "\n" not in str(error.value)


def test_any_size_is_an_image_s_and_only_some_are_a_network_s() -> None:
    assert GeneratorSpec("foreign", 65, 3, 3, 8).height == 65
    with pytest.raises(SpecError, match="64x64"):
        _ = GeneratorSpec("dcgan", 65, 65, 3, 8).size
    assert SPEC.size.doublings == 4


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"family": "dcgan"}', '"spec"'])
def test_what_is_not_a_spec_is_said_so(text: str) -> None:
    with pytest.raises(SpecError):
        GeneratorSpec.from_json(text)


def test_provenance_does_not_make_another_network() -> None:
    assert SPEC.same_network(SPEC.with_provenance(images_seen=7))
    assert not SPEC.same_network(GeneratorSpec("dcgan", 64, 64, 4, 100))


def test_where_noise_comes_from_does_not_make_another_network() -> None:
    assert SPEC.same_network(replace(SPEC, noise=7))
    assert replace(SPEC, noise=7) != SPEC


def test_a_spec_from_before_noise_has_none() -> None:
    values = json.loads(SPEC.to_json())
    del values["noise"]
    assert GeneratorSpec.from_dict(values) == SPEC
