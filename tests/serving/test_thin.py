"""Doors for thin clients: a seed in, an image or a PNG file out, through a real Triton."""

import base64
import importlib.util
import io
import json
import sys
import types
import urllib.request
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from core.bundle import GOLDEN, Golden, levels_apart
from core.contract import input_ports, output_port, sample_inputs
from core.errors import BundleError
from core.latents import LAST_SEED, latents
from serving import models, publishing
from serving.client import Sampler
from serving.config import ENSEMBLE, PART, WHOLE, Instances, ModelConfig, Queue, Step, Tensor, render
from serving.facts import describe, of_seed
from serving.golden import Reference, images_in
from serving.graph import tensors_from
from serving.launching import free_ports
from serving.order import Order
from serving.publishing import rollback
from serving.release import Graph, Release, of_bundle
from serving.repository import CONFIG, SUMS, list_models, read_config
from serving.supervisor import Supervisor
from serving.thin import THIN, golden_seeds, thin_models
from serving.wire import connect, infer_inputs
from tests.serving import conftest
from tests.serving.conftest import CLASSES, NOISY, SPEC, make_bundle, make_style_bundle

SEEDS = [0, 7, 3, 2**31, LAST_SEED, 7]
ORIGIN = replace(SPEC.provenance, data_name="Größe", data_licence="CC-BY-SA-4.0", data_attribution="by Zoë")
ANIMALS = replace(SPEC, classes=CLASSES, codes=2, provenance=ORIGIN)
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
    for more in ({}, {"label": label, "class": named("cat", 6)}):
        with pytest.raises(InferenceServerException, match="'animals' has classes: give either 'label'"):
            ask(served, "animals_from_seed", seed=column(SEEDS), **more)


def named(name, count=1):
    return np.full((count, 1), name.encode(), np.object_)


def test_a_class_may_be_asked_for_by_its_name(served):
    for number, name in enumerate(CLASSES):
        found = ask(served, "animals_from_seed", seed=column([7]), **{"class": named(name)})
        assert levels_apart(found, ask(served, "animals_from_seed", seed=column([7]), label=column([number]))) <= 1
    with pytest.raises(InferenceServerException, match="'animals' has no class 'cow': choose cat, dog, bird"):
        ask(served, "animals_from_seed", seed=column([7]), **{"class": named("cow")})


@pytest.mark.parametrize(
    "raw", [b"", b"\xff" * 4, b"\3\0\0\0ca", b"\3\0\0\0catx", b"\2\0\0\0\xff\xfe", b"\0\0\0\x80abc"]
)
def test_bytes_that_are_no_name_fail_their_request_alone(served, raw):
    with grpc.insecure_channel(served.url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name="animals_from_seed")
        for name, kind, value in (("seed", "INT64", bytes(8)), ("class", "BYTES", raw)):
            request.inputs.add(name=name, datatype=kind, shape=[1, 1])
            request.raw_input_contents.append(value)
        with pytest.raises(grpc.RpcError) as raised:
            stub.ModelInfer(request, timeout=60)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        request.raw_input_contents[1] = b"\3\0\0\0cat"
        assert len(stub.ModelInfer(request, timeout=60).raw_output_contents[0]) == 8 * 12 * 4


def test_a_file_comes_as_text_to_those_who_speak_json_alone(served):
    inputs = [
        {"name": "seed", "datatype": "INT64", "shape": [1, 1], "data": [7]},
        {"name": "class", "datatype": "BYTES", "shape": [1, 1], "data": ["dog"]},
    ]
    body = json.dumps({"inputs": inputs, "outputs": [{"name": "base64"}]}).encode()
    url = f"http://127.0.0.1:{served.ports.http}/v2/models/animals_png/infer"
    with urllib.request.urlopen(urllib.request.Request(url, body, method="POST")) as answer:
        (output,) = json.load(answer)["outputs"]
    (file,) = ask(served, "animals_png", "png", seed=column([7]), label=column([1]))[0]
    assert (output["name"], output["shape"], base64.b64decode(output["data"][0])) == ("base64", [1, 1], file)


def test_a_generator_from_before_takes_the_newer_models(tmp_path):
    """Versions share a configuration: models for thin clients may take and give more than they did."""
    repository, bundle = tmp_path / "repository", make_bundle(tmp_path / "bundle", ANIMALS)
    publishing.publish(bundle, "animals", repository)
    for part in ("latents", "encoder", "from_seed", "png"):
        place = repository / f"animals_{part}" / CONFIG
        before = read_config(place.parent)
        inputs = tuple(replace(each, optional=False) for each in before.inputs if each.name != "class")
        outputs = tuple(each for each in before.outputs if each.name not in ("given_label", "base64"))
        place.write_text(render(replace(before, inputs=inputs, outputs=outputs)))
    publishing.publish(bundle, "animals", repository)
    assert Tensor("class", "STRING", (1,), optional=True) in read_config(repository / "animals_png").inputs


def test_codes_may_be_given(served):
    inputs = sample_inputs(ANIMALS, SEEDS)
    asked = {"seed": column(SEEDS), "label": inputs["label"]}
    found = ask(served, "animals_from_seed", **asked, codes=inputs["codes"])
    assert levels_apart(found, ask(served, "animals", **inputs)) <= 1
    assert levels_apart(found, ask(served, "animals_from_seed", **asked)) > 10


def test_nothing_is_in_a_version_but_what_its_hashes_name(served):
    places = [model.path / str(version) for model in list_models(served.repository) for version in model.versions]
    assert len(places) == 2 * 5 + 5 + 7
    for place in places:
        named = {line.partition("  ")[2] for line in (place / SUMS).read_text().splitlines()}
        assert {path.name for path in place.iterdir()} == {*named, SUMS}


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
    file = np.array([[encoder.png(image, {})]], np.object_)
    assert (images_in(file, channels)[0] == image).all()


def texts_in(file):
    with Image.open(io.BytesIO(file)) as picture:
        return picture.text


@pytest.mark.parametrize("named_by", ["label", "class"])
def test_a_file_says_what_those_of_sample_say(served, named_by):
    """Whose data it was learned from and under which licence, above all; the very texts, in their order."""
    codes = np.array([[0.5, np.float32(0.1234567)]] * 2, np.float32)
    asked = {"label": column([2, 2])} if named_by == "label" else {"class": named("bird", 2)}
    more = {"truncation": column([0.7, 0.7], np.float32), "codes": codes}
    files = ask(served, "animals_png", "png", seed=column([7, LAST_SEED]), **asked, **more)
    with Sampler("animals", served.url) as sampler:
        order = Order(sampler, Path("out"), label="bird", codes=codes[0])
        expected = [of_seed(order.facts(0.7), seed) for seed in (7, LAST_SEED)]
    assert [list(texts_in(file).items()) for file in files[:, 0]] == [list(each.items()) for each in expected]
    assert expected[0]["Source"] == "trained on Größe, CC-BY-SA-4.0" and expected[0]["Attribution"] == "by Zoë"
    assert expected[0]["Codes"] == "0.5,0.1234567"


def test_a_file_says_by_itself_what_is_usual(served):
    (file,) = ask(served, "tiny_png", "png", seed=column([7]))[0]
    assert texts_in(file) == of_seed(describe(SPEC, "tiny", "2"), 7)
    (alone,) = ask(served, "tiny_encoder", "png", image=np.zeros((1, 8, 12, 4), np.uint8))[0]
    known = {"Software", "Model", "Version", "Source"}
    assert texts_in(alone) == {key: text for key, text in texts_in(file).items() if key in known}


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
    may |= {Tensor("label", "INT64", (1,), optional=True), Tensor("class", "STRING", (1,), optional=True)}
    assert set(given) == {Tensor("seed", "INT64", (1,))} | may


def test_seeds_of_golden_images_are_found_and_others_are_refused(bundle, tmp_path):
    release = of_bundle(bundle)
    seeds, rows = golden_seeds(release.spec, release.whole.golden)
    assert (seeds.tolist(), rows) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    turned = {name: np.asfortranarray(values) for name, values in release.whole.golden.inputs.items()}
    assert golden_seeds(release.spec, Reference(turned, "image", release.whole.golden.values))[1] == rows
    strange = Reference({"z": np.ones((5, 8), np.float32)}, "image", release.whole.golden.values)
    with pytest.raises(BundleError, match="none of the seeds 0 to 63"):
        golden_seeds(release.spec, strange)


@pytest.mark.parametrize(("classes", "codes", "noise"), [((), 0, 0), (CLASSES, 2, 7)])
def test_the_four_models_by_hand(classes, codes, noise):
    """``tiny`` as it is, and with all that a generator can take."""
    release, whole = unpublished(replace(SPEC, classes=classes, codes=codes, noise=noise))
    seed, png, z, image = (
        Tensor("seed", "INT64", (1,)),
        Tensor("png", "STRING", (1,)),
        Tensor("z", "FP32", (8,)),
        Tensor("image", "UINT8", (8, 12, 4)),
    )
    sides = {"truncation": 1, "codes": codes} if codes else {"truncation": 1}
    may = tuple(Tensor(name, "FP32", (side,), optional=True) for name, side in sides.items())
    given = tuple(Tensor(f"given_{name}", "FP32", (side,)) for name, side in sides.items())
    label = (Tensor("label", "INT64", (1,), optional=True),) if classes else ()
    named = (Tensor("class", "STRING", (1,), optional=True),) if classes else ()
    given += (Tensor("given_label", "INT64", (1,)),) if classes else ()
    text = Tensor("base64", "STRING", (1,))
    extra = (Tensor("noise", "FP32", (noise,)),) if noise else ()
    latents_of, encoder, from_seed, png_of = found = thin_models(whole, release, 3)
    assert [model.config.parameters[PART] for model in found] == list(THIN) == list(BESIDE)

    usual = {"max_batch_size": 32, "versions": 2}
    assert latents_of.config == ModelConfig(
        "tiny_latents",
        (seed, *may, *label, *named),
        (z, *extra, *given),
        backend="python",
        queue=Queue(delay_us=0, size=0, timeout_us=0),
        instances=Instances("KIND_CPU", 1),
        parameters={"fact": "x", PART: "latents", WHOLE: "tiny"},
        **usual,
    )
    assert encoder.config == ModelConfig(
        "tiny_encoder",
        (image, replace(seed, optional=True), *may[:1], *label, *may[1:]),
        (png, text),
        backend="python",
        queue=Queue(delay_us=0, size=0, timeout_us=0),
        instances=Instances("KIND_CPU", 2),
        parameters={"fact": "x", PART: "encoder", WHOLE: "tiny"},
        **usual,
    )
    for model in (latents_of, encoder):
        script = Path(models.__file__).with_name(f"{model.config.parameters[PART]}.py")
        assert model.files["model.py"] == script
    assert set(latents_of.files) == {"model.py"}
    facts = json.loads(encoder.files["facts.json"])["facts"]
    assert facts == describe(SPEC, "tiny", "1") | dict.fromkeys(
        ["Version", "Truncation", "Seed", *(["Label", "Codes"] if classes else [])]
    )

    names = [tensor.name for tensor in whole.inputs]
    forwards = {name: f"given_{name}" for name in ("truncation", "codes", "label")}
    said = {name: forwards[name] for name in names if name in forwards}
    steps = (
        Step(
            "tiny_latents",
            3,
            {each.name: each.name for each in (seed, *may, *label, *named)},
            {each.name: each.name for each in (z, *extra, *given)},
        ),
        Step("tiny", 3, {name: forwards.get(name, name) for name in names}, {"image": "image"}),
        Step("tiny_encoder", 3, {"image": "image", "seed": "seed"} | said, {"png": "png", "base64": "base64"}),
    )
    for model, part, gives, taken in (
        (from_seed, "from_seed", (image,), steps[:2]),
        (png_of, "png", (png, text), steps),
    ):
        assert model.config == ModelConfig(
            f"tiny_{part}",
            model.config.inputs,
            gives,
            backend="ensemble",
            max_batch_size=32,
            queue=None,
            instances=None,
            steps=taken,
            parameters={"fact": "x", PART: part, WHOLE: "tiny"},
        )
        assert model.config.inputs[0] == seed
        assert set(model.config.inputs) == {seed, *may, *label, *named}
        assert model.files == {}


def test_what_the_four_models_are_held_against():
    spec = replace(ANIMALS, noise=7)
    release, whole = unpublished(spec, seeds=(63, 9_999, 0, 5))
    latents_of, encoder, from_seed, png = (model.golden for model in thin_models(whole, release, 1))
    rows = [0, 2, 3]  # 9999 is of no seed that is looked for
    told, images = release.whole.golden.inputs, release.whole.golden.values[rows]
    asked = {name: told[name][rows] for name in ("truncation", "codes", "label")} | {"seed": column([63, 0, 5])}
    expected = {
        "z": (latents_of, asked, told["z"][rows]),
        "image": (from_seed, asked, images),
        "png": (png, asked, images),
    }
    for output, (found, inputs, values) in expected.items():
        assert found.output == output
        assert set(found.inputs) == set(inputs)
        assert all(np.array_equal(found.inputs[name], inputs[name]) for name in inputs)
        assert found.inputs["seed"].dtype == np.int64
        assert np.array_equal(found.values, values)
    assert encoder.output == "png"
    assert set(encoder.inputs) == {"image"}
    assert np.array_equal(encoder.inputs["image"], images)
    assert np.array_equal(encoder.values, images)


def unpublished(spec, seeds=range(3)):
    """A generator that is no file, and the configuration it may have had."""
    golden = Reference(
        sample_inputs(spec, seeds), "image", np.arange(len(seeds) * 384).astype("u1").reshape(-1, 8, 12, 4)
    )
    ports = Graph(Path("none"), tensors_from(input_ports(spec)), tensors_from((output_port(spec),)), golden)
    whole = ModelConfig("tiny", ports.inputs, ports.outputs, max_batch_size=32, versions=2, parameters={"fact": "x"})
    return Release(spec, Path("none"), ports, {}), whole


def test_a_reference_of_files_is_of_the_images_in_them(bundle):
    golden = Golden.read(bundle / GOLDEN)
    reference = Reference({"seed": column(range(5))}, "png", golden.images)
    encoder = load_encoder()
    files = np.array([[encoder.png(image, {})] for image in golden.images], np.object_)
    assert reference.difference(files) == ""
    files[3, 0] = encoder.png(golden.images[3] ^ 4, {})
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
