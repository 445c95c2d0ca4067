"""The spec: the same after JSON, and nothing half-right gets in."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.errors import SpecError
from core.fitting import fit, resampling_for
from core.sizes import Size
from core.spec import (
    CATEGORY,
    FITS,
    FOREIGN,
    KINDS,
    LARGEST_LATENT,
    LARGEST_NOISE,
    LARGEST_VALUE,
    RESAMPLINGS,
    GeneratorSpec,
    Provenance,
    SourceSpec,
)

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
    assert (SPEC.size.height, SPEC.size.width, SPEC.size.doublings) == (96, 64, 4)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"family": "dcgan"}', '"spec"'])
def test_what_is_not_a_spec_is_said_so(text: str) -> None:
    with pytest.raises(SpecError):
        GeneratorSpec.from_json(text)


def test_where_noise_comes_from_makes_another_spec() -> None:
    assert replace(SPEC, noise=7) != SPEC


def test_a_spec_from_before_noise_has_none() -> None:
    values = json.loads(SPEC.to_json())
    del values["noise"]
    assert GeneratorSpec.from_dict(values) == SPEC


def test_the_format_is_pinned() -> None:
    """Checkpoints, bundles and graphs out there hold this text: what is not said must mean the same for ever."""
    text = GeneratorSpec("any", 16, 24, 3, 8).to_json()
    origin = {
        "preset": "",
        "images_seen": 0,
        "data_name": "",
        "data_fingerprint": "",
        "data_licence": "",
        "data_attribution": "",
        "source_licence": "",
        "source_attribution": "",
        "source_examples": "",
        "code_version": "",
    }
    values = {
        "family": "any",
        "height": 16,
        "width": 24,
        "channels": 3,
        "latent_dim": 8,
        "kind": "noise",
        "classes": [],
        "codes": 0,
        "noise": 0,
        "source": None,
        "options": {},
        "value_range": [-1.0, 1.0],
        "provenance": origin,
        "format_version": 1,
    }
    assert text == json.dumps(values, sort_keys=True)
    assert GeneratorSpec("any", 16, 24, 3, 8).to_json(indent=2) == json.dumps(values, sort_keys=True, indent=2)
    read = json.loads(text)
    assert GeneratorSpec.from_dict(read).to_json() == text
    assert read == values  # what it was read from is the caller's
    required = {name: values[name] for name in ("family", "height", "width", "channels", "latent_dim")}
    assert GeneratorSpec.from_dict(required).to_json() == text
    for name in required:
        with pytest.raises(SpecError, match=f"lacks {name}"):
            GeneratorSpec.from_dict({key: value for key, value in required.items() if key != name})
    with pytest.raises(SpecError, match="lacks channels"):
        GeneratorSpec.from_dict({})


def test_names_and_limits_that_others_rely_on() -> None:
    assert (KINDS, FOREIGN, CATEGORY) == (("noise", "image"), "foreign", "category-")
    assert (LARGEST_LATENT, LARGEST_VALUE, LARGEST_NOISE) == (65_536, 1e30, 16_777_216)


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("height", 1, 2048),
        ("width", 1, 2048),
        ("latent_dim", 1, 65_536),
        ("codes", 0, 65_536),
        ("noise", 0, 1 << 24),
    ],
)
def test_limits_are_allowed_and_what_is_beyond_them_is_not(field: str, least: int, most: int) -> None:
    for value in (least, most):
        assert getattr(replace(SPEC, **{field: value}), field) == value
    for value in (least - 1, most + 1):
        with pytest.raises(SpecError, match=str(value)):
            replace(SPEC, **{field: value})


def test_a_value_range_has_two_ends_apart_and_finite() -> None:
    assert replace(SPEC, value_range=(-1e30, 1e30)).value_range == (-1e30, 1e30)
    for value_range in [(-1.1e30, 0.0), (0.0, 1.1e30), (0.0, 0.0)]:
        with pytest.raises(SpecError, match="value range"):
            replace(SPEC, value_range=value_range)


def test_categories_are_classes_that_it_found_itself() -> None:
    assert replace(SPEC, classes=("category-0", "category-1")).found_its_classes is True
    for others in (("category-0", "cat"), ("category-1", "category-2"), ("category-a",), ("category-00",), ()):
        assert replace(SPEC, classes=others).found_its_classes is False


TRANSLATOR = GeneratorSpec("unet", 32, 48, 4, 0, kind="image", source=SourceSpec(16, 24, 3, "stretch", "nearest"))


def test_a_translator_says_what_it_takes() -> None:
    """And text of before there were any still means a generator of latents."""
    assert GeneratorSpec.from_json(TRANSLATOR.to_json()) == TRANSLATOR
    values = json.loads(GeneratorSpec("any", 16, 24, 3, 8).to_json())
    del values["source"]
    assert GeneratorSpec.from_dict(values).source is None


@pytest.mark.parametrize(
    "change, said",
    [
        ({"source": None}, "what its source is"),
        ({"latent_dim": 8}, "no latent"),
        ({"classes": ("a",)}, "no latent"),
        ({"kind": "noise", "latent_dim": 8}, "has no source"),
    ],
)
def test_a_generator_takes_a_latent_or_a_source(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        replace(TRANSLATOR, **change)


WHOLE = {"height": 8, "width": 8, "channels": 3}


@pytest.mark.parametrize(
    "source",
    [
        WHOLE | {"height": 0},
        WHOLE | {"channels": 2},
        WHOLE | {"fit": "foo"},
        WHOLE | {"fit": ""},
        WHOLE | {"resample": "bicubic"},
        WHOLE | {"resample": "Lanczos"},
    ],
)
def test_a_source_is_a_picture(source: dict[str, Any]) -> None:
    values = json.loads(TRANSLATOR.to_json()) | {"source": source}
    with pytest.raises(SpecError, match="source"):
        GeneratorSpec.from_dict(values)
    with pytest.raises(SpecError, match="lacks height"):
        GeneratorSpec.from_dict(values | {"source": {"width": 8, "channels": 3}})


@pytest.mark.parametrize("way", FITS)
@pytest.mark.parametrize("resample", [*RESAMPLINGS, "auto"])
def test_every_way_to_fit_a_source_is_one_that_there_is(way: str, resample: str) -> None:
    source = replace(TRANSLATOR.source, fit=way, resample=resample)
    picture = Image.new("RGB", (7, 5))
    size = Size(source.height, source.width, source.height, source.width, 0)
    filtering = resampling_for(picture, size, way) if resample == "auto" else resample
    assert fit(picture, size, way, filtering).shape == (16, 24, 4)
