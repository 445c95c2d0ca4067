"""The sampler against a real Triton, held against in-process ONNX Runtime."""

import itertools
import warnings

import numpy as np
import onnxruntime
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from core.bundle import GRAPH
from core.difference import MOST_LEVELS, levels_apart
from core.errors import ModelNotFound, RequestRefused, ServerUnavailable, ServingError
from core.latents import LAST_SEED, latents
from serving.client import served
from serving.client.sampler import Sampler
from serving.protocol.grpc import connect, infer_async, translated
from serving.server.launch import free_ports
from tests.serving import conftest
from tests.serving.server.test_supervisor import eventually

SEEDS = [5, 0, LAST_SEED, 5, 12, *range(100, 145)]


@pytest.fixture
def sampler(server):
    with Sampler("tiny", server.url, in_flight=3) as sampler:
        yield sampler


def in_process(bundle, seeds, truncation=1.0, label=None):
    session = onnxruntime.InferenceSession(bundle / GRAPH, providers=["CPUExecutionProvider"])
    inputs = {"z": latents(seeds, 8), "truncation": np.full((len(seeds), 1), truncation, np.float32)}
    if label is not None:
        inputs["label"] = np.full((len(seeds), 1), label, np.int64)
    return session.run(["image"], inputs)[0]


def stacked(samples):
    return np.stack([image for _, image in samples])


def executions(server, model="tiny"):
    """How often the model ran at each batch size."""
    with InferenceServerClient(server.url) as client:
        *_, stats = client.get_inference_statistics(model, headers=server.access.headers).model_stats  # the newest
    return {each.batch_size: each.compute_infer.count for each in stats.batch_stats}


def test_it_knows_what_it_talks_to(sampler):
    assert sampler.spec == conftest.SPEC
    assert (sampler.version, sampler.batch) == ("2", 16)


def test_images_are_those_of_onnx_runtime_in_the_order_of_the_seeds(sampler, bundle):
    samples = list(sampler.sample(SEEDS))
    assert [seed for seed, _ in samples] == SEEDS
    assert levels_apart(stacked(samples), in_process(bundle, SEEDS)) <= MOST_LEVELS


def test_truncation_reaches_the_graph(sampler, bundle):
    images = stacked(sampler.sample(SEEDS, truncation=0.25))
    assert levels_apart(images, in_process(bundle, SEEDS, 0.25)) <= MOST_LEVELS
    assert levels_apart(images, in_process(bundle, SEEDS)) > MOST_LEVELS


@pytest.mark.parametrize("batch", [1, 3, 16, 1000])
def test_the_batch_a_seed_travels_in_does_not_matter(server, bundle, batch):
    with Sampler("tiny", server.url, batch=batch) as sampler:
        assert sampler.batch == min(batch, 16)
        assert levels_apart(stacked(sampler.sample(SEEDS)), in_process(bundle, SEEDS)) <= MOST_LEVELS


def test_one_by_one_the_bytes_are_those_of_a_single_run_whoever_else_asks(server, bundle):
    expected = np.concatenate([in_process(bundle, [seed]) for seed in SEEDS])
    with Sampler("tiny", server.url, batch=1, in_flight=8) as alone, Sampler("tiny", server.url, batch=5) as other:
        for seed, image in zip(SEEDS, alone.sample(SEEDS), strict=True):
            list(other.sample(range(5)))
            assert seed == image[0]
            assert levels_apart(image[1], expected[SEEDS.index(seed)]) == 0


def test_seeds_without_end_are_asked_for_a_few_at_a_time(sampler):
    asked = 0

    def endless():
        nonlocal asked
        while True:
            yield asked
            asked += 1

    samples = sampler.sample(endless())
    assert [seed for seed, _ in itertools.islice(samples, 40)] == list(range(40))
    assert asked < 40 + sampler.batch * (sampler.in_flight + 1)


def test_no_seeds_give_no_images(sampler):
    assert list(sampler.sample([])) == []


def test_full_batches_are_sent(server, sampler):
    before = executions(server)
    list(sampler.sample(range(64)))
    eventually(lambda: executions(server).get(16, 0) - before.get(16, 0) == 4)  # it answers before it counts


def test_labels_are_names(server, labelled_bundle):
    with Sampler("animals", server.url) as sampler:
        images = stacked(sampler.sample(SEEDS, label="dog"))
        assert levels_apart(images, in_process(labelled_bundle, SEEDS, label=1)) <= MOST_LEVELS
        with pytest.raises(RequestRefused, match=r"no class 'dgo': choose dog \(is that the one\?\), cat, bird"):
            sampler.sample([1], label="dgo")
        with pytest.raises(RequestRefused, match="needs a label: choose cat, dog, bird"):
            sampler.sample([1])


def test_a_label_for_a_model_without_classes_is_refused(sampler):
    with pytest.raises(RequestRefused, match="no classes"):
        sampler.sample([1], label="dog")


@pytest.mark.parametrize("seed", [-1, LAST_SEED + 1])
def test_a_seed_that_is_none_is_refused_before_anything_is_asked(sampler, seed):
    with pytest.raises(RequestRefused, match="outside"):
        sampler.sample([1, 2, seed])


@pytest.mark.parametrize("truncation", [float("nan"), float("inf"), 1e39])
def test_a_truncation_that_is_no_number_is_refused(sampler, truncation):
    with warnings.catch_warnings(), pytest.raises(RequestRefused, match="truncation"):
        warnings.simplefilter("error")
        sampler.sample([1], truncation)


def test_latents_of_ones_own(sampler, bundle):
    images = np.stack(list(sampler.sample_latents(latents(SEEDS, 8))))
    assert levels_apart(images, in_process(bundle, SEEDS)) <= MOST_LEVELS


@pytest.mark.parametrize(
    ("z", "said"),
    [
        (np.zeros((2, 9)), r"shape \(2, 9\): 'tiny' takes \(n, 8\)"),
        (np.zeros(8), "shape"),
        (np.full((1, 8), np.nan), "NaN"),
        (np.full((1, 8), -np.inf), "infinity"),
        (np.full((1, 8), 1e39), "infinity"),
    ],
)
def test_latents_that_cannot_be_are_refused(sampler, z, said):
    with pytest.raises(RequestRefused, match=said):
        sampler.sample_latents(z)


@pytest.mark.parametrize("setting", [{"batch": 0}, {"in_flight": 0}, {"seconds": 0}])
def test_settings_that_cannot_be_are_refused(server, setting):
    with pytest.raises(RequestRefused):
        Sampler("tiny", server.url, **setting)


def test_an_unknown_model_is_named_with_who_knows_the_others(server):
    with pytest.raises(ModelNotFound, match="has no model 'tinny': 'models' lists those"):
        Sampler("tinny", server.url)


class TakenBack:
    """A client of a real server that was asked for its versions when it had one more, which since is going or gone."""

    def __init__(self, client, said):
        self.client, self.said, self.asked = client, said, []

    def __getattr__(self, name):
        return getattr(self.client, name)

    def get_model_metadata(self, model, **how):
        metadata = self.client.get_model_metadata(model, **how)
        if not self.asked:
            metadata.versions.append("9")
        return metadata

    def get_model_config(self, model, version, **how):
        self.asked.append(version)
        if version == "9" and self.said:
            raise InferenceServerException(self.said, "StatusCode.UNAVAILABLE")
        return self.client.get_model_config(model, version, **how)


@pytest.mark.parametrize("said", ["", "Request for unknown model: 'tiny' version 9 is not at ready state"])
def test_a_version_that_is_taken_back_while_a_sampler_looks_for_the_newest_is_not_missed(server, monkeypatch, said):
    found = []
    monkeypatch.setattr(served, "connect", lambda *given: found.append(TakenBack(connect(*given), said)) or found[0])
    with Sampler("tiny", server.url) as sampler:
        assert (sampler.version, found[0].asked) == ("2", ["9", "2"])
        assert len(list(sampler.sample([1]))) == 1


@pytest.mark.parametrize("url", ["", "nonsense", "127.0.0.1:{}"])
def test_no_server_is_said_in_one_line(url):
    with pytest.raises(ServerUnavailable) as raised:
        Sampler("tiny", url.format(free_ports().grpc))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:18001", "write host:port without http://"),
        ("localhost", "write host:port"),
        ("localhost:8001/v2", "without http:// or a path"),
        ("a b:1", "write host:port"),
        ("a\nb:1", "write host:port"),
        ("localhost:0", "write host:port"),
        ("localhost:65536", "write host:port"),
        ("nobody.invalid:8001", "nobody.invalid:8001: no machine of that name"),
    ],
)
def test_an_address_that_is_none_is_said(url, said):
    with pytest.raises(ServerUnavailable, match=said) as raised:
        Sampler("tiny", url)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("status", ["StatusCode.NOT_FOUND", "StatusCode.UNAVAILABLE"])
def test_a_server_that_is_stopping_still_has_the_model(status):
    said = "Request for unknown model: 'tiny' version 2 is not at ready state"
    assert isinstance(translated(InferenceServerException(said, status), "tiny"), ServerUnavailable)


# What the backend does for clients that are not ours.


@pytest.fixture
def raw(server):
    with connect(server.url) as client:
        yield client


def inputs(rows=1, dim=8, fill=0.5):
    return {"z": np.full((rows, dim), fill, np.float32), "truncation": np.ones((rows, 1), np.float32)}


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf])
def test_a_request_that_is_not_finite_fails_alone(server, raw, fill):
    """``gathering`` runs when it has four requests, so these four share a batch."""
    before = executions(server, "gathering").get(3, 0)
    answers = [infer_async(raw, "gathering", inputs(fill=each)) for each in (0.1, fill, 0.3, 0.4)]
    for answer, value in zip(answers, (0.1, None, 0.3, 0.4), strict=True):
        if value is None:
            with pytest.raises(RequestRefused, match="input 'z' holds a NaN or an infinity"):
                answer.result(30)
        else:
            expected = infer_async(raw, "tiny", inputs(fill=value), no_batching=True).result(30)
            assert levels_apart(answer.result(30), expected) <= MOST_LEVELS
    assert executions(server, "gathering").get(3, 0) == before, "Triton counts the batch of four"


def test_requests_of_different_sizes_share_a_batch(raw):
    answers = [infer_async(raw, "gathering", inputs(rows, fill=rows / 4)) for rows in (1, 3)]
    for rows, answer in zip((1, 3), answers, strict=True):
        expected = infer_async(raw, "tiny", inputs(rows, fill=rows / 4)).result(30)
        assert levels_apart(answer.result(30), expected) <= MOST_LEVELS


@pytest.mark.parametrize(
    "wrong",
    [
        inputs(dim=9),
        inputs(rows=17),
        {"z": np.zeros((1, 8), np.float32)},
        inputs() | {"z": np.zeros((1, 8), np.float64)},
        inputs() | {"more": np.zeros((1, 8), np.float32)},
        {"z": np.zeros((2, 8), np.float32), "truncation": np.ones((3, 1), np.float32)},
    ],
)
def test_requests_that_do_not_fit_are_refused_in_one_line(raw, wrong):
    with pytest.raises(RequestRefused) as raised:
        infer_async(raw, "tiny", wrong).result(30)
    assert "\n" not in str(raised.value)


def test_an_empty_batch_is_answered_or_refused_and_the_server_lives(raw):
    try:
        assert len(infer_async(raw, "tiny", inputs(rows=0)).result(30)) == 0
    except ServingError as error:
        assert "\n" not in str(error)
    assert len(infer_async(raw, "tiny", inputs()).result(30)) == 1


def test_a_deadline_that_passes_is_said(raw):
    with pytest.raises(ServerUnavailable, match="in time"):
        infer_async(raw, "gathering", inputs(), seconds=0.2).result(30)
