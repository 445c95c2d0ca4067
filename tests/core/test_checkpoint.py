"""The slim generator file: whole, or refused in one line."""

import json
import struct
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from core.checkpoint import load_generator, read_spec, save_generator
from core.errors import CheckpointError, GanfoundryError
from core.networks import build_generator
from core.spec import GeneratorSpec, Provenance

SPEC = GeneratorSpec("dcgan", 32, 32, 4, 8, options={"width": 2}, provenance=Provenance("test", 77, "sprites"))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    save_generator(path, build_generator(SPEC))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "generator.safetensors"


def refusal(path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_the_spec_travels_with_the_weights(good):
    assert read_spec(good) == SPEC
    assert load_generator(good).spec == SPEC
    assert not load_generator(good).training


def test_provenance_may_be_fresher_than_the_network(path):
    save_generator(path, build_generator(SPEC), SPEC.with_provenance(images_seen=5000))
    assert read_spec(path).provenance.images_seen == 5000


def test_saving_twice_gives_the_same_bytes(good, path):
    save_generator(path, load_generator(good))
    assert path.read_bytes() == good.read_bytes()


def test_no_file_and_no_file_but_a_folder(path):
    assert "train" in refusal(path)
    path.mkdir()
    refusal(path)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, 0.5, -1])
def test_truncated_files(good, path, keep):
    data = good.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    refusal(path)


@pytest.mark.parametrize(
    "data", [b"hello, I am a text file", b"\x80\x02}q\x00.", b"\xff" * 64, b"PK\x03\x04" + b"\0" * 60]
)
def test_other_files(path, data):
    path.write_bytes(data)
    refusal(path)


def test_weights_of_another_program(path):
    save_file({"weight": torch.zeros(3)}, path)
    assert "another program" in refusal(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"family": "dcgan"}', SPEC.to_json().replace("32", "33"), "[" * 100_000]
)
def test_wrong_specs(good, path, text):
    save_file(load_file(good), path, {"ganfoundry_spec": text})
    refusal(path)


@pytest.mark.parametrize(
    "changes", [{"latent_dim": 9}, {"channels": 3}, {"height": 64}, {"options": {"width": 4}}, {"family": "nothing"}]
)
def test_a_spec_the_weights_do_not_fit(good, path, changes):
    save_file(load_file(good), path, {"ganfoundry_spec": replace(SPEC, **changes).to_json()})
    refusal(path)


def test_a_missing_and_an_extra_tensor(good, path):
    tensors = load_file(good)
    first = next(name for name in tensors if name.endswith("weight"))
    save_file({k: v for k, v in tensors.items() if k != first}, path, {"ganfoundry_spec": SPEC.to_json()})
    assert "do not fit" in refusal(path)
    save_file({**tensors, "extra": torch.zeros(1)}, path, {"ganfoundry_spec": SPEC.to_json()})
    assert "do not fit" in refusal(path)


def test_a_header_that_claims_the_impossible(good, path):
    data = good.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    name = next(key for key in header if key != "__metadata__")
    header[name]["data_offsets"] = [0, 2**60]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    refusal(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 4000), value=st.integers(0, 255))
def test_any_byte_of_the_header_may_be_wrong(good, tmp_path, at, value):
    """Either the error is ours, or the file still loads (a byte of a weight, or of a name in the provenance)."""
    path = tmp_path / "fuzz.safetensors"
    data = bytearray(good.read_bytes())
    data[min(at, len(data) - 1)] = value
    path.write_bytes(data)
    try:
        load_generator(path)
    except GanfoundryError as error:
        assert "\n" not in str(error)


def test_weights_that_lie_in_another_order_are_the_same_file(good, path):
    generator = load_generator(good).to(memory_format=torch.channels_last)
    assert any(not value.is_contiguous() for value in generator.parameters())
    save_generator(path, generator)
    assert path.read_bytes() == good.read_bytes()
