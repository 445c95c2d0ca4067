"""Doors for thin clients: a seed in, an image or a PNG file out, through a real Triton."""

import base64
import importlib
import io
import json
import shutil
import sys
import types
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from core.bundle import GOLDEN
from core.contract import input_ports, output_port, sample_inputs
from core.difference import levels_apart
from core.errors import BundleError, RepositoryError, RequestRefused
from core.golden import Golden
from core.latents import LAST_SEED, latents
from serving import publishing
from serving.client.sampler import Sampler
from serving.in_triton.models.png import write_png
from serving.protocol.graph import tensors_from
from serving.protocol.grpc import connect, infer_async, infer_inputs
from serving.protocol.model_config import ENSEMBLE, PART, WHOLE, Instances, ModelConfig, Queue, Step, Tensor
from serving.protocol.pbtxt import render
from serving.protocol.picture_texts import describe, of_seed
from serving.publishing import rollback
from serving.repository.changes import reconfigure, withdraw
from serving.repository.configs import read_config
from serving.repository.golden import Reference, images_in
from serving.repository.layout import CONFIG, THIN
from serving.repository.release import Graph, Release
from serving.repository.seal import SUMS, seal, sealed_hashes
from serving.repository.servable import check_servable
from serving.repository.thin_clients import bls_models, golden_seeds, own_files
from serving.repository.versions import list_models, versions_of
from serving.sampling.order import Order
from serving.server.launch import free_ports
from serving.server.supervisor import Supervisor
from tests.serving import conftest
from tests.serving.conftest import CLASSES, NOISY, SPEC, images_of, make_bundle, make_style_bundle

SEEDS = [0, 7, 3, 2**31, LAST_SEED, 7]
ORIGIN = replace(SPEC.provenance, data_name="Größe", data_licence="CC-BY-SA-4.0", data_attribution="by Zoë")
ANIMALS = replace(SPEC, classes=CLASSES, codes=2, provenance=ORIGIN)
CLASSES_OF = {"1": ("dog", "cat"), "2": CLASSES}  # by version
BESIDE = ("from_seed", "png")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A generator in two versions, one with classes and codes, one with noise and styles."""
    bundles, repository = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("thin") / "repository"
    publishing.publish(make_bundle(bundles / "first", seed=1), "tiny", repository, trial=False)
    publishing.publish(make_bundle(bundles / "tiny"), "tiny", repository, trial=False)
    publishing.publish(
        make_bundle(bundles / "before", replace(ANIMALS, classes=CLASSES_OF["1"]), 1),
        "animals",
        repository,
        trial=False,
    )
    publishing.publish(make_bundle(bundles / "animals", ANIMALS), "animals", repository, trial=False)
    publishing.publish(make_style_bundle(bundles / "noisy", NOISY), "noisy", repository, trial=False)
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
    image = ask(served, f"{name}_from_seed", seed=column(SEEDS))
    assert levels_apart(image, ask(served, name, **sample_inputs(NOISY if name == "noisy" else SPEC, SEEDS))) <= 1


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


def ensembles_of(before):
    """What ``publish`` once wrote for thin clients of ``tiny``, by the newest version: ensembles of two more models."""
    place, seed, z = before.parent, Tensor("seed", "INT64", (1,)), Tensor("z", "FP32", (8,))
    whole, latest = read_config(before), versions_of(before)[-1]
    truncation = Tensor("truncation", "FP32", (1,), optional=True)
    given = Tensor("given_truncation", "FP32", (1,))
    png, base64_of = read_config(place / "tiny_png").outputs
    wanted = {
        "latents": ((seed, truncation), (z, given)),
        "encoder": (whole.outputs, (png, base64_of)),
    }
    for part, (takes, gives) in wanted.items():
        config = replace(read_config(place / "tiny_png"), name=f"tiny_{part}", inputs=takes, outputs=gives)
        shutil.copytree(place / "tiny_png", place / f"tiny_{part}")
        parameters = {**config.parameters, PART: part}
        (place / f"tiny_{part}" / CONFIG).write_text(render(replace(config, parameters=parameters).warmed()))
    steps = (
        Step("tiny_latents", latest, {"seed": "seed", "truncation": "truncation"}, {"z": "z", given.name: given.name}),
        Step("tiny", latest, {"z": "z", "truncation": given.name}, {"image": "image"}),
        Step("tiny_encoder", latest, {"image": "image"}, {"png": "png", "base64": "base64"}),
    )
    for part, taken in (("from_seed", steps[:2]), ("png", steps)):
        model = place / f"tiny_{part}"
        as_one = {"backend": ENSEMBLE, "queue": None, "instances": None, "versions": 1}
        (model / CONFIG).write_text(render(replace(read_config(model), steps=taken, **as_one)))
        for version in versions_of(model):
            for added in own_files(SPEC, "tiny"):
                (model / str(version) / added).unlink()
            seal(model / str(version))


def test_ensembles_of_before_are_taken_over(tmp_path):
    """By whoever publishes: older versions get what runs them, and what nothing asks any more goes."""
    repository, bundle = tmp_path / "repository", make_bundle(tmp_path / "bundle")
    publishing.publish(bundle, "tiny", repository, trial=False)
    ensembles_of(repository / "tiny")
    check_servable(repository)
    assert publishing.publish(bundle, "tiny", repository, trial=False).version == 2
    assert {model.name for model in list_models(repository)} == {"tiny", "tiny_from_seed", "tiny_png"}
    for part in BESIDE:
        config = read_config(repository / f"tiny_{part}")
        assert (config.backend, config.steps, config.versions) == ("python", (), 2)
        old, new = (repository / f"tiny_{part}" / version for version in ("1", "2"))
        assert sealed_hashes(old).keys() == sealed_hashes(new).keys()
        for added in own_files(SPEC, "tiny"):
            assert (old / added).read_bytes() == (new / added).read_bytes()
    check_servable(repository)


@pytest.mark.parametrize("how", ["tune", "withdraw"])
def test_ensembles_are_taken_over_by_whoever_writes_their_configuration(tmp_path, how):
    repository, bundle = tmp_path / "repository", make_bundle(tmp_path / "bundle")
    for _ in range(2):
        publishing.publish(bundle, "tiny", repository, trial=False)
    ensembles_of(repository / "tiny")
    if how == "tune":
        reconfigure("tiny", repository, lambda config: replace(config, max_batch_size=8))
    else:
        withdraw("tiny", 2, repository)
    assert {model.name for model in list_models(repository)} == {"tiny", "tiny_from_seed", "tiny_png"}
    check_servable(repository)


def test_a_program_that_is_not_ours_is_not_taken_over(tmp_path):
    repository, bundle = tmp_path / "repository", make_bundle(tmp_path / "bundle")
    publishing.publish(bundle, "tiny", repository, trial=False)
    ensembles_of(repository / "tiny")
    theirs = repository / "tiny_png" / "1" / "model.py"
    theirs.write_text("theirs")
    with pytest.raises(RepositoryError, match=r"tiny_png/1/model.py is not what 'publish' wrote: move it"):
        publishing.publish(bundle, "tiny", repository, trial=False)
    assert theirs.read_text() == "theirs"


def test_codes_may_be_given(served):
    inputs = sample_inputs(ANIMALS, SEEDS)
    asked = {"seed": column(SEEDS), "label": inputs["label"]}
    found = ask(served, "animals_from_seed", **asked, codes=inputs["codes"])
    assert levels_apart(found, ask(served, "animals", **inputs)) <= 1
    assert levels_apart(found, ask(served, "animals_from_seed", **asked)) > 10


def test_nothing_is_in_a_version_but_what_its_hashes_name(served):
    places = [model.path / str(version) for model in list_models(served.repository) for version in model.versions]
    assert len(places) == 2 * 3 + 2 * 3 + 5
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
    image = np.random.RandomState(0).randint(0, 256, (7, 5, channels), np.uint8)
    file = np.array([[write_png(image, {})]], np.object_)
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


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_file_says_by_itself_what_is_usual(served, version):
    with connect(served.url) as client:
        answer = client.infer("tiny_png", infer_inputs({"seed": column([7])}), model_version=version)
    assert texts_in(answer.as_numpy("png")[0, 0]) == of_seed(describe(SPEC, "tiny", version), 7)


def load_program():
    """Triton's module is only there inside Triton."""
    sys.modules.setdefault("triton_python_backend_utils", types.ModuleType("triton_python_backend_utils"))
    return importlib.import_module("serving.in_triton.models.seeds")


@pytest.mark.parametrize("wrong", [{"seed": column([-1])}, {"seed": column([2**32])}, {"seed": column([-(2**63)])}])
def test_a_seed_that_is_none_is_refused(served, wrong):
    with pytest.raises(InferenceServerException, match=r"a seed is outside 0 to 4294967295"):
        ask(served, "tiny_from_seed", **wrong)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_truncation_that_is_no_number_is_refused(served, value):
    with pytest.raises(InferenceServerException, match="'truncation' holds a NaN or an infinity"):
        ask(served, "tiny_from_seed", seed=column([1]), truncation=column([value], np.float32))


def test_every_version_answers_for_itself(served):
    """Byte by byte as when it was the newest, with the classes that it had then."""
    for version, seed in (("1", 1), ("2", 0)):
        asked = {"seed": column([7]), "class": named("cat")}
        with connect(served.url) as client:
            file, image = (
                client.infer(f"animals_{door}", infer_inputs(asked), model_version=version).as_numpy(output)[0]
                for door, output in (("png", "png"), ("from_seed", "image"))
            )
        label = column([CLASSES_OF[version].index("cat")])
        codes = np.zeros((1, 2), np.float32)
        weight = np.random.RandomState(seed).standard_normal((8, 384)).astype(np.float32) / 3
        (expected,) = images_of(ANIMALS, weight, latents([7], 8), np.ones((1, 1), np.float32), label, codes)
        assert levels_apart(image, expected) <= 1
        assert (images_in(file[None], 4)[0] == image).all()
    with (
        pytest.raises(InferenceServerException, match="has no class 'bird': choose dog, cat"),
        connect(served.url) as client,
    ):
        client.infer("animals_png", infer_inputs(asked | {"class": named("bird")}), model_version="1")


def test_a_request_that_is_alone_is_run_alone(served):
    with Sampler("tiny", served.url, batch=1) as sampler:
        expected = np.stack([image for _, image in sampler.sample(SEEDS)])
    with connect(served.url) as client:
        calls = [
            client.infer("tiny_from_seed", infer_inputs({"seed": column([seed])}), parameters={"alone": True})
            for seed in SEEDS
        ]
    assert (np.concatenate([call.as_numpy("image") for call in calls]) == expected).all()


def test_what_thin_models_take(served):
    model = {each.name: each for each in list_models(served.repository)}
    for part in BESIDE:
        config = read_config(model[f"tiny_{part}"].path)
        assert model[f"tiny_{part}"].versions == (1, 2)
        assert (config.parameters[PART], config.parameters[WHOLE], config.versions) == (part, "tiny", 2)
    given = read_config(model["animals_png"].path).inputs
    may = {Tensor("truncation", "FP32", (1,), optional=True), Tensor("codes", "FP32", (2,), optional=True)}
    may |= {Tensor("label", "INT64", (1,), optional=True), Tensor("class", "STRING", (1,), optional=True)}
    assert set(given) == {Tensor("seed", "INT64", (1,))} | may


WRONG = [
    ("tiny", {"label": column([0])}, "'tiny_png' takes no 'label': leave it out"),
    ("tiny", {"class": "cat"}, "'tiny_png' takes no 'class': leave it out"),
    ("tiny", {"seed": column([1.0], np.float32)}, "'seed' of 'tiny_png' is INT64, not FP32: send it as that"),
    ("tiny", {"seed": np.array([1, 2])[None]}, "'seed' of 'tiny_png' has the shape [batch, 1], not [1, 2]"),
    (
        "tiny",
        {"seed": column(range(65))},
        "'tiny_png' makes at most 64 images a request: send the rest in further ones",
    ),
    ("tiny", {"seed": None}, "'tiny_png' needs 'seed' too: send it"),
    ("tiny", {"seed": None, "truncation": column([1.0], np.float32)}, "'seed' is missing: send one for each image"),
    ("animals", {}, "'animals' has classes: give either 'label', a number, or 'class', one of its names"),
    ("animals", {"label": column([0]), "class": "cat"}, "'animals' has classes: give either"),
    ("animals", {"class": "cow"}, "'animals' has no class 'cow': choose cat, dog, bird"),
    ("animals", {"class": ""}, "'animals' has no class '': choose cat, dog, bird"),
    ("animals", {"label": column([3])}, "a label is outside 0 to 2, the classes of 'animals'"),
    ("animals", {"label": column([-1])}, "a label is outside 0 to 2"),
    ("animals", {"label": column([0.0], np.float32)}, "'label' of 'animals_png' is INT64, not FP32"),
]


@pytest.mark.parametrize(("name", "more", "says"), WRONG)
def test_what_is_wrong_is_said_in_our_words_over_grpc_and_http(served, name, more, says):
    asked = {"seed": column([7])} | {key: named(each) if isinstance(each, str) else each for key, each in more.items()}
    asked = {key: values for key, values in asked.items() if values is not None}
    with pytest.raises(RequestRefused) as raised, connect(served.url) as client:
        infer_async(client, f"{name}_png", asked, output="png").result()
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    kinds = {"int64": "INT64", "float32": "FP32", "object": "BYTES"}
    tensors = [
        {
            "name": key,
            "datatype": kinds[values.dtype.name],
            "shape": values.shape,
            "data": [each.decode() if isinstance(each, bytes) else each for each in values.ravel().tolist()],
        }
        for key, values in asked.items()
    ]
    url = f"http://127.0.0.1:{served.ports.http}/v2/models/{name}_png/infer"
    body = json.dumps({"inputs": tensors}).encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, body, method="POST"))
    assert refused.value.code == 400
    assert says in json.load(refused.value)["error"]


def test_seeds_of_golden_images_are_found_and_others_are_refused(bundle, tmp_path):
    release = Release.of(bundle)
    seeds, rows = golden_seeds(release.spec, release.whole.golden)
    assert (seeds.tolist(), rows) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    turned = {name: np.asfortranarray(values) for name, values in release.whole.golden.inputs.items()}
    assert golden_seeds(release.spec, Reference(turned, "image", release.whole.golden.values))[1] == rows
    strange = Reference({"z": np.ones((5, 8), np.float32)}, "image", release.whole.golden.values)
    with pytest.raises(BundleError, match="none of the seeds 0 to 63"):
        golden_seeds(release.spec, strange)


@pytest.mark.parametrize(("classes", "codes", "noise"), [((), 0, 0), (CLASSES, 2, 7)])
def test_the_two_models_by_hand(classes, codes, noise):
    """``tiny`` as it is, and with all that a generator can take."""
    release, whole = unpublished(replace(SPEC, classes=classes, codes=codes, noise=noise))
    may = [Tensor("truncation", "FP32", (1,), optional=True)]
    may += [Tensor("label", "INT64", (1,), optional=True)] if classes else []
    may += [Tensor("codes", "FP32", (codes,), optional=True)] if codes else []
    may += [Tensor("class", "STRING", (1,), optional=True)] if classes else []
    gives = {
        "from_seed": (Tensor("image", "UINT8", (8, 12, 4)),),
        "png": (Tensor("png", "STRING", (1,)), Tensor("base64", "STRING", (1,))),
    }
    found = bls_models(whole, release)
    assert [model.config.parameters[PART] for model in found] == list(THIN) == list(BESIDE)
    for model, part in zip(found, BESIDE, strict=True):
        assert model.config == ModelConfig(
            f"tiny_{part}",
            (Tensor("seed", "INT64", (1,)), *may),
            gives[part],
            backend="python",
            max_batch_size=32,
            versions=2,
            queue=Queue(delay_us=0, size=0, timeout_us=0),
            instances=Instances("KIND_CPU", 2),
            parameters={"fact": "x", PART: part, WHOLE: "tiny"},
        )


def test_what_the_two_models_are_held_against():
    spec = replace(ANIMALS, noise=7)
    release, whole = unpublished(spec, seeds=(63, 9_999, 0, 5))
    rows = [0, 2, 3]  # 9999 is of no seed that is looked for
    told, images = release.whole.golden.inputs, release.whole.golden.values[rows]
    asked = {name: told[name][rows] for name in ("truncation", "codes", "label")} | {"seed": column([63, 0, 5])}
    for model, output in zip(bls_models(whole, release), ("image", "png"), strict=True):
        found = model.golden
        assert found.output == output
        assert set(found.inputs) == set(asked)
        assert all(np.array_equal(found.inputs[name], asked[name]) for name in asked)
        assert found.inputs["seed"].dtype == np.int64
        assert np.array_equal(found.values, images)


def unpublished(spec, seeds=range(3)):
    """A generator that is no file, and the configuration it may have had."""
    golden = Reference(
        sample_inputs(spec, seeds), "image", np.arange(len(seeds) * 384).astype("u1").reshape(-1, 8, 12, 4)
    )
    ports = Graph(Path("none"), tensors_from(input_ports(spec)), tensors_from((output_port(spec),)), golden)
    whole = ModelConfig("tiny", ports.inputs, ports.outputs, max_batch_size=32, versions=2, parameters={"fact": "x"})
    return Release(spec, Path("none"), "", ports, {}), whole


def test_a_reference_of_files_is_of_the_images_in_them(bundle):
    golden = Golden.read(bundle / GOLDEN)
    reference = Reference({"seed": column(range(5))}, "png", golden.images)
    files = np.array([[write_png(image, {})] for image in golden.images], np.object_)
    assert reference.difference(files) == ""
    files[3, 0] = write_png(golden.images[3] ^ 4, {})
    assert "levels off" in reference.difference(files)
    files[3, 0] = b"no file"
    assert "levels off" in reference.difference(files)


def test_thin_models_stay_with_a_generator_that_has_them(bundle, tmp_path):
    assert publishing.publish(bundle, "tiny", tmp_path, trial=False).companions == tuple(
        f"tiny_{part}" for part in BESIDE
    )
    assert conftest.publish(bundle, "tiny", tmp_path).companions == tuple(f"tiny_{part}" for part in BESIDE)
    other = make_bundle(tmp_path / "other", seed=1)
    assert publishing.publish(other, "tiny", tmp_path / "r", trial=False).version == 1
    publishing.publish(bundle, "tiny", tmp_path / "r", trial=False)
    gone_back = rollback("tiny", tmp_path / "r", trial=False)
    assert (gone_back.version, len(gone_back.companions)) == (3, 2)
    assert versions_of(tmp_path / "r" / "tiny_png") == [1, 2, 3]


class Triton:
    """What of ``triton_python_backend_utils`` the program uses: a generator that takes ``most`` at once, or fails."""

    TRITONSERVER_MEMORY_CPU = 0

    def __init__(self, most=64, fails=""):
        self.most, self.fails, self.asked = most, fails, []
        self.TritonError = type("Error", (), {"INVALID_ARG": 3, "UNAVAILABLE": 4, "INTERNAL": 1, "__init__": keep})

    def Tensor(self, name, values):
        return types.SimpleNamespace(name=lambda: name, as_numpy=lambda: values)

    def InferenceResponse(self, tensors=(), error=None):
        return types.SimpleNamespace(tensors=list(tensors), error=lambda: error, has_error=lambda: error is not None)

    def PreferredMemory(self, *_):
        return None

    def get_input_tensor_by_name(self, request, name):
        return next((each for each in request.tensors if each.name() == name), None)

    def get_output_tensor_by_name(self, response, name):
        return response.tensors[0]

    def InferenceRequest(self, inputs, parameters, model_version, **_):
        count = len(inputs[0].as_numpy())
        self.asked.append((count, parameters, model_version))
        said = self.fails or (
            f"inference request batch-size must be <= {self.most} for 'g'" if count > self.most else ""
        )
        said = said and f"Model g - Error when running inference: {said}"
        made = self.Tensor("image", inputs[0].as_numpy()[:, :1])
        answer = self.InferenceResponse([made], self.TritonError(said, 1) if said else None)
        return types.SimpleNamespace(exec=lambda: answer)

    def request(self, seeds, **parameters):
        return types.SimpleNamespace(
            tensors=[self.Tensor("seed", column(seeds))],
            parameters=lambda: json.dumps(parameters) if parameters else "",
            requested_output_names=lambda: ["image"],
        )


def keep(error, said, code):
    error.message, error.code = lambda: said, lambda: code


def answers(triton, *requests):
    program = load_program()
    program.pb_utils = sys.modules["serving.in_triton.models.door"].pb_utils = triton
    model = program.TritonPythonModel()
    model.spec = {"latent_dim": 2, "noise": 0, "codes": 0, "classes": []}
    model.sides, model.generator, model.version = {"truncation": 1}, "g", 5
    model.stream = np.random.RandomState(0)
    return model.execute(list(requests))


def test_requests_share_a_question_unless_they_want_to_be_alone():
    triton = Triton()
    found = answers(triton, triton.request([1, 2]), triton.request([3], alone=True), triton.request([4]))
    assert triton.asked == [(1, {"alone": True}, 5), (3, {}, 5)]
    rows = [each.tensors[0].as_numpy() for each in found]
    assert (np.concatenate(rows) == latents([1, 2, 3, 4], 2)[:, :1]).all()


def test_a_generator_that_takes_fewer_is_asked_one_by_one():
    triton = Triton(most=2)
    found = answers(triton, triton.request([1, 2]), triton.request([3, 4, 5]), triton.request([6]))
    assert [each.has_error() for each in found] == [False, True, False]
    assert (found[1].error().message(), found[1].error().code()) == (
        "inference request batch-size must be <= 2 for 'g'",
        triton.TritonError.INVALID_ARG,
    )


@pytest.mark.parametrize(
    ("fails", "says", "code"),
    [
        ("Exceeds maximum queue size", "Exceeds maximum queue size", "UNAVAILABLE"),
        ("Model 'g' is not ready.", "version 5 of 'g' is not served: ask for the newest, or later", "UNAVAILABLE"),
        ("the graph could not be run: x", "the graph could not be run: x", "INTERNAL"),
    ],
)
def test_why_a_generator_failed_is_handed_on(fails, says, code):
    triton = Triton(fails=fails)
    found = answers(triton, triton.request([1]), triton.request([2]))
    assert [each.error().message() for each in found] == [says, says]
    assert found[0].error() is not found[1].error()
    assert found[0].error().code() == getattr(triton.TritonError, code)
