"""Doors for thin clients: a seed in, an image or a PNG file out, through a real Triton."""

import importlib.util
import io
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from core.bundle import GOLDEN, Golden, levels_apart
from core.contract import sample_inputs
from core.errors import BundleError
from core.latents import LAST_SEED, latents
from serving import models, publishing
from serving.client import Sampler
from serving.config import ENSEMBLE, PART, WHOLE, Tensor
from serving.golden import Reference, images_in
from serving.launching import free_ports
from serving.publishing import rollback
from serving.release import of_bundle
from serving.repository import list_models, read_config
from serving.supervisor import Supervisor
from serving.thin import golden_seeds
from serving.wire import connect, infer_inputs
from tests.serving import conftest
from tests.serving.conftest import CLASSES, NOISY, SPEC, make_bundle, make_style_bundle

SEEDS = [0, 7, 3, 2**31, LAST_SEED, 7]
ANIMALS = replace(SPEC, classes=CLASSES, codes=2)
BESIDE = ("latents", "encoder", "from_seed", "png")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A generator in two versions, one with classes and codes, one with noise and styles."""
    bundles, repository = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("thin") / "repository"
    publishing.publish(make_bundle(bundles / "first", seed=1), "tiny", repository)
    publishing.publish(make_bundle(bundles / "tiny"), "tiny", repository)
    publishing.publish(make_bundle(bundles / "animals", ANIMALS), "animals", repository)
    publishing.publish(make_style_bundle(bundles / "noisy", NOISY), "noisy", repository)
    with Supervisor(repository, free_ports()) as supervisor:
        yield supervisor


def ask(server, model, output="image", **inputs):
    with connect(server.url) as client:
        return client.infer(model, infer_inputs(inputs)).as_numpy(output)


def column(values, kind=np.int64):
    return np.array(values, kind)[:, None]


def test_a_seed_is_the_same_image_as_through_its_latent(served):
    with Sampler("tiny", served.url) as sampler:
        expected = np.stack([image for _, image in sampler.sample(SEEDS)])
        half = np.stack([image for _, image in sampler.sample(SEEDS, truncation=0.5)])
    found = ask(served, "tiny_from_seed", seed=column(SEEDS))
    assert levels_apart(found, expected) <= 1
    assert levels_apart(found, half) > 1
    truncation = np.full((len(SEEDS), 1), 0.5, np.float32)
    assert levels_apart(ask(served, "tiny_from_seed", seed=column(SEEDS), truncation=truncation), half) <= 1


@pytest.mark.parametrize("name", ["tiny", "noisy"])
def test_latents_and_noise_are_drawn_as_everywhere(served, name):
    spec = NOISY if name == "noisy" else SPEC
    expected = latents(SEEDS, spec.latent_dim + spec.noise)
    assert (ask(served, f"{name}_latents", "z", seed=column(SEEDS)) == expected[:, :8]).all()
    if spec.noise:
        assert (ask(served, f"{name}_latents", "noise", seed=column(SEEDS)) == expected[:, 8:]).all()
    image = ask(served, f"{name}_from_seed", seed=column(SEEDS))
    assert levels_apart(image, ask(served, name, **sample_inputs(spec, SEEDS))) <= 1


def test_a_label_is_asked_for_where_there_are_classes(served):
    label = column([0, 1, 2, 0, 1, 2])
    found = ask(served, "animals_from_seed", seed=column(SEEDS), label=label)
    inputs = sample_inputs(ANIMALS, SEEDS) | {"label": label, "codes": np.zeros((len(SEEDS), 2), np.float32)}
    assert levels_apart(found, ask(served, "animals", **inputs)) <= 1
    with pytest.raises(InferenceServerException, match=r"expected at least 2 inputs but got 1|label"):
        ask(served, "animals_from_seed", seed=column(SEEDS))


def test_codes_may_be_given(served):
    inputs = sample_inputs(ANIMALS, SEEDS)
    asked = {"seed": column(SEEDS), "label": inputs["label"]}
    found = ask(served, "animals_from_seed", **asked, codes=inputs["codes"])
    assert levels_apart(found, ask(served, "animals", **inputs)) <= 1
    assert levels_apart(found, ask(served, "animals_from_seed", **asked)) > 10


def test_a_png_file_holds_the_same_image(served):
    files = ask(served, "tiny_png", "png", seed=column(SEEDS))
    assert files.shape == (len(SEEDS), 1)
    assert (images_in(files, 4) == ask(served, "tiny_from_seed", seed=column(SEEDS))).all()
    with Image.open(io.BytesIO(files[0, 0])) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (12, 8))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_kind_of_png_is_read_by_others(channels):
    encoder = load_encoder()
    image = np.random.RandomState(0).randint(0, 256, (7, 5, channels), np.uint8)
    file = np.array([[encoder.png(image)]], np.object_)
    assert (images_in(file, channels)[0] == image).all()


def load_encoder():
    """Triton's module is only there inside Triton."""
    sys.modules.setdefault("triton_python_backend_utils", types.ModuleType("triton_python_backend_utils"))
    spec = importlib.util.spec_from_file_location("encoder", Path(models.__file__).with_name("encoder.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("wrong", [{"seed": column([-1])}, {"seed": column([2**32])}, {"seed": column([-(2**63)])}])
def test_a_seed_that_is_none_is_refused(served, wrong):
    with pytest.raises(InferenceServerException, match=r"a seed is outside 0 to 4294967295"):
        ask(served, "tiny_from_seed", **wrong)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_truncation_that_is_no_number_is_refused(served, value):
    with pytest.raises(InferenceServerException, match="'truncation' holds a NaN or an infinity"):
        ask(served, "tiny_from_seed", seed=column([1]), truncation=column([value], np.float32))


def test_ensembles_name_the_version_of_every_step_and_are_there_once(served):
    model = {each.name: each for each in list_models(served.repository)}
    assert {name for name in model if name.startswith("tiny")} == {"tiny", *(f"tiny_{part}" for part in BESIDE)}
    for part in BESIDE:
        config = read_config(model[f"tiny_{part}"].path)
        assert model[f"tiny_{part}"].versions == (1, 2)
        assert (config.parameters[PART], config.parameters[WHOLE]) == (part, "tiny")
        assert [step.version for step in config.steps] == [2] * len(config.steps)
        assert config.versions == (1 if config.backend == ENSEMBLE else 2)
    given = read_config(model["animals_png"].path).inputs
    may = {Tensor("truncation", "FP32", (1,), optional=True), Tensor("codes", "FP32", (2,), optional=True)}
    assert set(given) == {Tensor("seed", "INT64", (1,)), Tensor("label", "INT64", (1,))} | may


def test_seeds_of_golden_images_are_found_and_others_are_refused(bundle, tmp_path):
    release = of_bundle(bundle)
    seeds, rows = golden_seeds(release.spec, release.whole.golden)
    assert (seeds.tolist(), rows) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    strange = Reference({"z": np.ones((5, 8), np.float32)}, "image", release.whole.golden.values)
    with pytest.raises(BundleError, match="none of the seeds 0 to 63"):
        golden_seeds(release.spec, strange)


def test_a_reference_of_files_is_of_the_images_in_them(bundle):
    golden = Golden.read(bundle / GOLDEN)
    reference = Reference({"seed": column(range(5))}, "png", golden.images)
    encoder = load_encoder()
    files = np.array([[encoder.png(image)] for image in golden.images], np.object_)
    assert reference.difference(files) == ""
    files[3, 0] = encoder.png(golden.images[3] ^ 4)
    assert "levels off" in reference.difference(files)
    files[3, 0] = b"no file"
    assert "levels off" in reference.difference(files)


def test_thin_models_stay_with_a_generator_that_has_them(bundle, tmp_path):
    assert publishing.publish(bundle, "tiny", tmp_path).beside == tuple(f"tiny_{part}" for part in BESIDE)
    assert conftest.publish(bundle, "tiny", tmp_path).beside == tuple(f"tiny_{part}" for part in BESIDE)
    other = make_bundle(tmp_path / "other", seed=1)
    assert publishing.publish(other, "tiny", tmp_path / "r").version == 1
    publishing.publish(bundle, "tiny", tmp_path / "r")
    gone_back = rollback("tiny", tmp_path / "r")
    assert (gone_back.version, len(gone_back.beside)) == (3, 4)
    assert read_config(tmp_path / "r" / "tiny_png").steps[1].version == 3
