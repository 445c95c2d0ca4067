"""Publishing the two parts of a bundle that has styles."""

import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from core.bundle import GRAPH, MANIFEST, MAPPING, SYNTHESIS, write_manifest
from core.errors import BundleError, RepositoryError
from core.golden import Golden
from core.latents import ALGORITHM
from serving import publishing
from serving.protocol.model_config import BUNDLE, PART, SPEC, WHOLE, Tensor
from serving.repository.configs import read_config
from serving.repository.golden import MOST_APART, Reference
from serving.repository.layout import CONFIG
from serving.repository.servable import check_servable
from serving.repository.versions import list_models
from tests.serving import conftest
from tests.serving.conftest import LAYERS, STYLE_DIM, publish

NAMES = ("styled", "styled_mapping", "styled_synthesis")


def versions(path):
    return {model.name: model.versions for model in list_models(path)}


def change_weights(bundle, name):
    model = onnx.load(bundle / name)
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.ndim == 2:
            tensor.CopyFrom(numpy_helper.from_array(value[::-1].copy(), tensor.name))
    (bundle / name).write_bytes(model.SerializeToString())


def resealed(copy):
    (copy / MANIFEST).unlink()
    write_manifest(copy, spec=conftest.SPEC, opset=18, seed_algorithm=ALGORITHM)
    return copy


@pytest.fixture
def copy(style_bundle, tmp_path):
    return shutil.copytree(style_bundle, tmp_path / "copy")


def test_whole_and_parts_are_models_of_one_version(style_bundle, tmp_path):
    published = publish(style_bundle, "styled", tmp_path)
    assert (published.name, published.version) == ("styled", 1)
    assert published.companions == ("styled_mapping", "styled_synthesis")
    assert versions(tmp_path) == dict.fromkeys(NAMES, (1,))
    for name, file in zip(NAMES, (GRAPH, MAPPING, SYNTHESIS), strict=True):
        assert (tmp_path / name / "1" / "model.onnx").read_bytes() == (style_bundle / file).read_bytes()
        assert (tmp_path / name / "1" / MANIFEST).read_bytes() == (style_bundle / MANIFEST).read_bytes()


def test_the_configurations_come_from_the_graphs_and_say_what_they_are(style_bundle, tmp_path):
    publish(style_bundle, "styled", tmp_path)
    whole, mapping, synthesis = (read_config(tmp_path / name) for name in NAMES)
    styles = Tensor("w", "FP32", (LAYERS, STYLE_DIM))
    assert mapping.inputs == whole.inputs
    assert mapping.outputs == synthesis.inputs == (styles,)
    assert synthesis.outputs == whole.outputs
    assert PART not in whole.parameters
    for part, config in (("mapping", mapping), ("synthesis", synthesis)):
        assert (config.parameters[PART], config.parameters[WHOLE]) == (part, "styled")
        assert config.parameters[SPEC] == whole.parameters[SPEC]
        assert config.parameters[BUNDLE] == whole.parameters[BUNDLE]


def test_each_part_is_held_against_what_pytorchs_images_vouch_for(style_bundle, tmp_path):
    publish(style_bundle, "styled", tmp_path)
    golden = Golden.read(style_bundle / "golden.npz")
    mapping = Reference.read(tmp_path / "styled_mapping" / "1" / "golden.npz", "w")
    synthesis = Reference.read(tmp_path / "styled_synthesis" / "1" / "golden.npz")
    first, _ = conftest.style_weights()
    assert set(mapping.inputs) == {"z", "truncation"}
    assert np.allclose(mapping.values, conftest.styles_of(first, **golden.inputs), atol=1e-5)
    assert set(synthesis.inputs) == {"w"}
    assert (synthesis.inputs["w"] == mapping.values).all()
    assert (synthesis.values == golden.images).all()


def test_styles_are_right_to_rounding_and_no_further(style_bundle, tmp_path):
    publish(style_bundle, "styled", tmp_path)
    path = tmp_path / "styled_mapping" / "1" / "golden.npz"
    golden = Reference.read(path, "w")
    largest = np.abs(golden.values[1:3]).max()
    rounded, wrong, broken = (golden.values[1:3].copy() for _ in range(3))
    rounded[0, 2, 1] += 0.9 * MOST_APART * largest
    wrong[0, 2, 1] += 1.1 * MOST_APART * largest
    broken[1, 0, 0] = np.nan
    assert golden.difference(rounded, 1) == ""
    assert "off" in golden.difference(wrong, 1)
    assert "off" in golden.difference(broken, 1)
    assert "instead of" in golden.difference(rounded[:, :3], 1)
    for damaged in (b"nothing", Reference(golden.inputs, "w", golden.values[:2]).to_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(BundleError, match="publish again"):
            Reference.read(path, "w")


def test_the_version_is_one_that_none_of_the_three_has(style_bundle, bundle, tmp_path):
    publish(bundle, "styled", tmp_path)
    assert publish(style_bundle, "styled", tmp_path).version == 2
    (tmp_path / "styled_mapping" / "2").rename(tmp_path / "styled_mapping" / "5")
    (tmp_path / "styled" / "2").rename(tmp_path / "styled" / "5")
    assert publish(style_bundle, "styled", tmp_path).version == 6
    assert publish(bundle, "styled", tmp_path).version == 7, "a version without parts"
    assert versions(tmp_path) == {"styled": (1, 5, 6, 7), "styled_mapping": (5, 6), "styled_synthesis": (2, 6)}


def test_settings_of_a_part_made_by_hand_are_kept(style_bundle, tmp_path):
    publish(style_bundle, "styled", tmp_path)
    conftest.configure(tmp_path / "styled_mapping", max_batch_size=5)
    publish(style_bundle, "styled", tmp_path)
    assert read_config(tmp_path / "styled_mapping").max_batch_size == 5


@pytest.mark.parametrize("taken", NAMES[1:])
def test_a_model_in_the_place_of_a_part_is_refused_and_nothing_is_written(style_bundle, bundle, tmp_path, taken):
    publish(bundle, taken, tmp_path)
    with pytest.raises(
        RepositoryError, match=f"'{taken}' is already a model of its own, so it cannot be the"
    ) as raised:
        publish(style_bundle, "styled", tmp_path)
    assert "\n" not in str(raised.value)
    assert versions(tmp_path) == {taken: (1,)}


def test_a_part_is_not_replaced_by_a_model_or_by_the_part_of_another(style_bundle, tmp_path):
    publish(style_bundle, "styled", tmp_path)
    with pytest.raises(RepositoryError, match="is already the mapping of 'styled', so it cannot be a model of its own"):
        publish(style_bundle, "styled_mapping", tmp_path)
    assert versions(tmp_path) == dict.fromkeys(NAMES, (1,))


def test_a_name_with_no_room_for_the_parts_is_refused(style_bundle, tmp_path):
    with pytest.raises(RepositoryError, match="cannot name a model"):
        publish(style_bundle, "x" * 119, tmp_path)
    assert publish(style_bundle, "x" * 118, tmp_path).version == 1


@pytest.mark.parametrize("name", [MAPPING, SYNTHESIS])
def test_one_part_without_the_other_is_refused(copy, tmp_path, name):
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        publish(resealed(copy), "styled", tmp_path / "repository")


@pytest.mark.parametrize("name", [MAPPING, SYNTHESIS])
def test_parts_that_are_not_those_of_the_whole_are_refused(copy, tmp_path, name):
    change_weights(copy, name)
    with pytest.raises(BundleError, match="do not make the golden images"):
        publish(resealed(copy), "styled", tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize(("name", "said"), [(MAPPING, "a style for each layer"), (SYNTHESIS, "its spec wants w")])
def test_a_whole_in_place_of_a_part_is_refused(copy, tmp_path, name, said):
    shutil.copyfile(copy / GRAPH, copy / name)
    with pytest.raises(BundleError, match=said):
        publish(resealed(copy), "styled", tmp_path / "repository")


def test_other_style_shapes_need_another_name(style_bundle, tmp_path, monkeypatch):
    publish(style_bundle, "styled", tmp_path / "repository")
    monkeypatch.setattr(conftest, "STYLE_DIM", STYLE_DIM + 1)
    other = conftest.make_style_bundle(tmp_path / "other")
    with pytest.raises(
        RepositoryError, match=r"this bundle takes .*w FP32 .*, and 'styled_\w+' .*: publish it under another --name"
    ):
        publish(other, "styled", tmp_path / "repository")
    assert versions(tmp_path / "repository") == dict.fromkeys(NAMES, (1,))


class Killed(BaseException):
    """What nothing cleans up after."""


def test_noise_is_an_input_of_the_whole_and_of_the_synthesis(tmp_path):
    publish(conftest.make_style_bundle(tmp_path / "noisy", conftest.NOISY), "noisy", tmp_path / "repository")
    whole, mapping, synthesis = (
        {tensor.name for tensor in read_config(tmp_path / "repository" / name).inputs}
        for name in ("noisy", "noisy_mapping", "noisy_synthesis")
    )
    assert (whole, mapping, synthesis) == ({"z", "truncation", "noise"}, {"z", "truncation"}, {"w", "noise"})
    golden = Reference.read(tmp_path / "repository" / "noisy_synthesis" / "1" / "golden.npz")
    assert set(golden.inputs) == {"w", "noise"}


@pytest.mark.parametrize("already", [0, 1])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_the_whole_appears_last_and_what_a_killed_publisher_left_is_not_served(
    style_bundle, tmp_path, monkeypatch, already, after
):
    """Killed just before its ``after``-th model appears."""
    repository, appeared = tmp_path / "repository", []
    for _ in range(already):
        publish(style_bundle, "styled", repository)
    before = versions(repository)

    def killed_before(entry, *places):
        if len(appeared) == after:
            raise Killed
        appeared.append(entry.config.name)
        show(entry, *places)

    show = publishing._show
    monkeypatch.setattr(publishing, "_show", killed_before)
    with pytest.raises(Killed):
        publish(style_bundle, "styled", repository)
    monkeypatch.undo()
    assert versions(repository).get("styled") == before.get("styled")
    assert appeared == sorted(NAMES[1:])[:after]
    if already:
        check_servable(repository)
        assert versions(repository) == before
    assert publish(style_bundle, "styled", repository).version == 1 + max((already, 1 if after else 0))
    assert versions(repository)["styled"][-1] == versions(repository)["styled_mapping"][-1]


def test_a_first_version_of_parts_that_was_never_finished_is_swept_with_its_folder(style_bundle, bundle, tmp_path):
    publish(bundle, "styled", tmp_path)
    publish(style_bundle, "styled", tmp_path)
    shutil.rmtree(tmp_path / "styled" / "2")
    check_servable(tmp_path)
    assert versions(tmp_path) == {"styled": (1,)}


def test_taking_a_version_back_takes_those_of_its_parts_back(style_bundle, tmp_path):
    for _ in range(3):
        publish(style_bundle, "styled", tmp_path)
    shutil.rmtree(tmp_path / "styled" / "3")
    check_servable(tmp_path)
    assert versions(tmp_path) == dict.fromkeys(NAMES, (1, 2))


def test_models_that_only_have_the_name_of_a_part_are_left_alone(bundle, tmp_path):
    for name in ("tiny", "tiny_mapping", "tiny_mapping", "tiny_synthesis"):
        publish(bundle, name, tmp_path)
    (tmp_path / "tiny_synthesis" / "1").rename(tmp_path / "tiny_synthesis" / "9")
    before = versions(tmp_path)
    check_servable(tmp_path)
    assert versions(tmp_path) == before


def test_a_part_alone_is_kept_for_whoever_brings_its_whole_back(style_bundle, tmp_path):
    publish(style_bundle, "styled", tmp_path / "repository")
    (tmp_path / "repository" / "styled").rename(tmp_path / "aside")
    check_servable(tmp_path / "repository")
    assert set(versions(tmp_path / "repository")) == set(NAMES[1:])


def test_the_configuration_of_a_part_is_the_same_bytes_wherever_it_is_made(style_bundle, tmp_path):
    for place in ("here", "there"):
        publish(style_bundle, "styled", tmp_path / place)
    here, there = ((tmp_path / place / NAMES[1] / CONFIG).read_bytes() for place in ("here", "there"))
    assert here == there
    assert str(tmp_path).encode() not in here


def test_a_bundle_without_parts_has_none(bundle, tmp_path):
    assert publish(bundle, "tiny", tmp_path).companions == ()
    assert set(versions(tmp_path)) == {"tiny"}


def test_parts_of_a_bundle_with_another_interface_are_checked_before_anything_is_written(style_bundle, tmp_path):
    publish(style_bundle, "styled", tmp_path / "repository")
    other = conftest.make_style_bundle(tmp_path / "other", replace(conftest.SPEC, latent_dim=9))
    with pytest.raises(RepositoryError, match="another --name"):
        publish(other, "styled", tmp_path / "repository")
    assert versions(tmp_path / "repository") == dict.fromkeys(NAMES, (1,))
