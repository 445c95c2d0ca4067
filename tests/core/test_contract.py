"""What a seed becomes, and what each graph takes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract import (
    BATCH,
    CHECKPOINT_KEY,
    JUDGED_KEY,
    OPSET,
    SEEDS_KEY,
    SPEC_KEY,
    TOOLS_KEY,
    VERSION_KEY,
    Port,
    input_ports,
    latent_inputs,
    mapping_ports,
    output_port,
    rows,
    sample_inputs,
    sheet_inputs,
    style_port,
    synthesis_ports,
)
from core.latents import LAST_SEED, latents
from core.spec import GeneratorSpec

SPEC = GeneratorSpec("any", 16, 16, 4, 8)
FULL = replace(SPEC, classes=("a", "b"), codes=3, noise=5)


@given(st.lists(st.integers(0, LAST_SEED), min_size=1, max_size=4), st.integers(1, 65), st.integers(1, 65))
def test_a_seed_s_latent_is_the_same_whatever_noise_follows_it(seeds: list[int], dim: int, noise: int) -> None:
    plain = latent_inputs(replace(SPEC, latent_dim=dim), seeds)
    noisy = latent_inputs(replace(SPEC, latent_dim=dim, noise=noise), seeds)
    assert list(plain) == ["z"]
    assert np.array_equal(noisy["z"], plain["z"])
    assert np.array_equal(np.hstack([noisy["z"], noisy["noise"]]), latents(seeds, dim + noise))
    assert all(value.dtype == np.float32 and value.flags.c_contiguous for value in noisy.values())


def test_noise_is_no_part_of_the_latent() -> None:
    inputs = latent_inputs(replace(SPEC, latent_dim=500, noise=500), range(20))
    assert abs(np.corrcoef(inputs["z"].ravel(), inputs["noise"].ravel())[0, 1]) < 0.03
    assert abs(inputs["noise"].std() - 1) < 0.03


@pytest.mark.parametrize("spec", [SPEC, FULL, replace(SPEC, noise=5), replace(FULL, noise=0)])
def test_samples_fit_the_ports(spec: GeneratorSpec) -> None:
    inputs = sample_inputs(spec, range(3), truncation=0.5)
    assert {(name, value.dtype.name, value.shape) for name, value in inputs.items()} == {
        (port.name, port.dtype, (3, *port.shape)) for port in input_ports(spec)
    }
    assert np.array_equal(rows(inputs)[2]["z"], inputs["z"][2:])


def test_the_two_parts_share_the_inputs_of_the_whole() -> None:
    styles = style_port(4, 7)
    assert [port.name for port in input_ports(FULL)] == ["z", "truncation", "label", "codes", "noise"]
    assert mapping_ports(FULL) == input_ports(FULL)[:-1]
    assert synthesis_ports(FULL, styles) == (styles, input_ports(FULL)[-1])
    assert mapping_ports(SPEC) == input_ports(SPEC)
    assert synthesis_ports(SPEC, styles) == (styles,)


def test_a_sheet_has_a_row_for_each_class_of_the_same_seeds():
    spec = GeneratorSpec("dcgan", 16, 16, 3, 4, classes=("a", "b", "c"), codes=2)
    inputs, columns = sheet_inputs(spec, 14)
    assert columns == 4
    assert inputs["label"][:, 0].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    rows_of_z = inputs["z"].reshape(3, 4, 4)
    assert (rows_of_z == latents(range(4), 4)).all()
    assert not inputs["codes"].any()


def test_a_sheet_of_fewer_images_than_classes_shows_the_first_classes():
    spec = GeneratorSpec("dcgan", 16, 16, 3, 4, classes=tuple("abcdef"))
    inputs, columns = sheet_inputs(spec, 4)
    assert (columns, inputs["label"][:, 0].tolist()) == (1, [0, 1, 2, 3])


def test_a_sheet_without_classes_is_as_square_as_can_be():
    inputs, columns = sheet_inputs(GeneratorSpec("dcgan", 16, 16, 3, 4), 10)
    assert columns == 4
    assert (inputs["z"] == latents(range(10), 4)).all()


def test_what_graphs_out_there_are_called_by() -> None:
    """Clients, servers and exported graphs know these names: none may change."""
    assert (OPSET, BATCH) == (18, "batch")
    assert (SPEC_KEY, SEEDS_KEY) == ("ganfoundry_spec", "ganfoundry_seed_algorithm")
    assert (VERSION_KEY, CHECKPOINT_KEY) == ("ganfoundry_format_version", "ganfoundry_checkpoint_sha256")
    assert (TOOLS_KEY, JUDGED_KEY) == ("ganfoundry_tools", "ganfoundry_judged")


@pytest.mark.parametrize(("channels", "meaning"), [(1, "grey"), (3, "RGB"), (4, "RGBA, straight alpha")])
def test_the_output_is_an_image_of_bytes(channels: int, meaning: str) -> None:
    spec = GeneratorSpec("any", 16, 24, channels, 8)
    assert output_port(spec) == Port("image", "uint8", (16, 24, channels), meaning)


def test_a_style_for_each_layer_lies_between_the_two_parts() -> None:
    port = style_port(4, 7)
    assert (port.name, port.dtype, port.shape) == ("w", "float32", (4, 7))


def test_a_seed_decides_label_and_codes() -> None:
    inputs = sample_inputs(FULL, [0, 1, 2, 7])
    assert inputs["label"].tolist() == [[0], [1], [0], [1]]
    assert np.array_equal(inputs["codes"], latents([LAST_SEED, LAST_SEED - 1, LAST_SEED - 2, LAST_SEED - 7], 3))
    assert (inputs["truncation"] == 1).all()
    assert sheet_inputs(FULL, 4)[0]["label"].dtype == np.int64


def test_rows_put_together_are_the_batch() -> None:
    inputs = sample_inputs(FULL, range(3))
    ones = rows(inputs)
    assert [row["z"].shape for row in ones] == [(1, 8)] * 3
    assert all(np.array_equal(np.concatenate([row[name] for row in ones]), inputs[name]) for name in inputs)
