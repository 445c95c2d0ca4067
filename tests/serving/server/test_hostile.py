"""What nobody of good will sends, to a real server: it lives, stays exact, and keeps its memory."""

import base64
import gzip
import json
import random
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from benchmarks.fuzz import SIDES, TYPES, Attacker, file_for, fuzz, golden_bytes, infer_request, memory
from core.bundle import GOLDEN
from core.difference import levels_apart
from core.errors import DeployError, GanfoundryError, ModelNotFound, RepositoryError
from core.golden import Golden
from serving import publishing
from serving.client.sampler import Sampler
from serving.deploy.plan import plan
from serving.protocol.grpc import connect, infer_async
from tests.serving.conftest import SPEC
from tests.serving.in_triton.test_png import IMAGE, RGBA, chunk, file_of
from tests.serving.translators import SPEC as PAINTER
from tests.serving.translators import make_translator

# MiB that server and stubs may have grown by after any of these tests: eight bodies of 100 MB. Thirty of those in a
# row, measured, left at most 465 MB behind, which is what malloc keeps for the next; all else together left 10.
ROOM = 800
BODY = 100 * 10**6
TOO_LONG = f"a{'b' * 128}"
REFUSED = {"INVALID_ARGUMENT", "NOT_FOUND"}
SEVEN, ONE = struct.pack("<q", 7), struct.pack("<f", 1)
Z, TRUNCATION, SEED = (
    ("z", "FP32", [1, 8], bytes(32)),
    ("truncation", "FP32", [1, 1], ONE),
    ("seed", "INT64", [1, 1], SEVEN),
)
PICTURE = file_for(PAINTER.source)


def bytes_tensor(data, name="png"):
    return name, "BYTES", [1, 1], struct.pack("<I", len(data)) + data


DOORS = {"tiny": (Z, TRUNCATION)} | {f"tiny_{door}": (SEED,) for door in ("from_seed", "png")}
DOORS |= {"painter": (("source", "UINT8", [1, 8, 12, 4], bytes(8 * 12 * 4)),), "painter_png": (bytes_tensor(PICTURE),)}


@pytest.fixture(scope="module")
def golden(bundle):
    return Golden.read(bundle / GOLDEN)


@pytest.fixture(scope="module")
def served(thin_server):
    return thin_server


@pytest.fixture(scope="module")
def attacker(served):
    with Attacker(served.url, served.ports.http, "tiny", SPEC) as attacker:
        yield attacker


@pytest.fixture(scope="module")
def first(served, golden):
    """The first golden image, and the processes and their memory, before anything was done."""
    image = golden_bytes(served, "tiny", golden)
    return image, served.server.pid, set(served.server.stubs), memory(served)


@pytest.fixture(autouse=True)
def unharmed(request):
    """After each test the same processes make the same bytes, in no more memory than is said above."""
    if "served" not in request.fixturenames:
        yield
        return
    served = request.getfixturevalue("served")
    image, pid, stubs, before = request.getfixturevalue("first")
    yield
    assert golden_bytes(served, "tiny", request.getfixturevalue("golden")) == image
    assert (served.server.pid, set(served.server.stubs)) == (pid, stubs)
    assert all(stub.is_running() for stub in stubs)
    assert memory(served) - before < ROOM
    assert [event.kind for event in served.events] == ["starting", "ready"]


def changed(model, *changes, **fields):
    """A right request to ``model``, but for the fields ``(type, shape, data)`` of its first tensor."""
    (name, kind, shape, data), *rest = DOORS[model]
    for change in changes:
        kind, shape, data = change(kind, shape, data)
    return infer_request(model, (name, kind, shape, data), *rest, **fields).SerializeToString()


@pytest.mark.parametrize("model", DOORS)
def test_other_types_are_refused(attacker, served, model):
    right = DOORS[model][0][1]
    for other in {*TYPES, "STRING", "x" * 10_000} - {right}:
        code, said = attacker.send(changed(model, lambda _, shape, data, other=other: (other, shape, data)))
        assert code == "INVALID_ARGUMENT", (other, said)


SHAPES = [
    [],
    [8],
    [1],
    *([1] * rank + [8] for rank in range(2, 6)),
    [1, -8],
    [-1, -8],
    [1, 2**62],
    [2**32, 2**32],
    [10**6, 8],
]


@pytest.mark.parametrize("model", DOORS)
def test_other_shapes_are_refused(attacker, served, model):
    right = DOORS[model][0][2]
    for shape in [each for each in SHAPES if each != right]:
        for data in (None, b""):
            code, said = attacker.send(
                changed(model, lambda kind, _, was, s=shape, d=data: (kind, s, was if d is None else d))
            )
            assert code == "INVALID_ARGUMENT", (shape, said)


@pytest.mark.parametrize("model", DOORS)
def test_batches_that_are_none_or_overflow_come_to_nothing(attacker, served, model):
    """Triton counts them in 32 bits, and their bytes in 64: some it takes for a batch of 1, and answers as such."""
    for batch in {*SIDES} - {1}:
        tensors = [(name, kind, [batch, *shape[1:]], data) for name, kind, shape, data in DOORS[model]]
        code, said = attacker.send(infer_request(model, *tensors).SerializeToString())
        assert code == "INVALID_ARGUMENT" or (code == "OK" and batch % 2**32 <= 1), (batch, said)
        empty = [(name, kind, shape, b"") for name, kind, shape, _ in tensors]
        assert attacker.send(infer_request(model, *empty).SerializeToString())[0] == "INVALID_ARGUMENT", batch


def test_inputs_that_are_missing_twice_or_unknown(attacker, served):
    cases = {
        "none": (),
        "one": (Z,),
        "two of one": (Z, Z),
        "three": (Z, TRUNCATION, SEED),
        "another name": (("\0", *Z[1:]), TRUNCATION),
        "many": [(f"z{index}", *Z[1:]) for index in range(500)],
    }
    for what, tensors in cases.items():
        assert attacker.send(infer_request("tiny", *tensors).SerializeToString())[0] == "INVALID_ARGUMENT", what
    for length in (0, 1, 31, 33, 10**6):
        data = infer_request("tiny", (*Z[:3], bytes(length)), TRUNCATION).SerializeToString()
        assert attacker.send(data)[0] == "INVALID_ARGUMENT", length
    for number in (0, 1):
        request = infer_request("tiny", Z, TRUNCATION)
        del request.raw_input_contents[number:]
        assert attacker.send(request.SerializeToString())[0] == "INVALID_ARGUMENT", number


@pytest.mark.parametrize("kind", ["bool", "int", "int64", "uint", "uint64", "fp32", "fp64", "bytes"])
def test_typed_contents_that_do_not_fit(attacker, served, kind):
    for count in (0, 1, 7, 9, 1000):
        request = service_pb2.ModelInferRequest(model_name="tiny")
        for name, data_type, shape, _ in (Z, TRUNCATION):
            contents = request.inputs.add(name=name, datatype=data_type, shape=shape).contents
            getattr(contents, f"{kind}_contents").extend([b"x" if kind == "bytes" else 1] * count)
        assert attacker.send(request.SerializeToString())[0] == "INVALID_ARGUMENT", count


@pytest.mark.parametrize(
    ("model", "inputs", "said"),
    [
        ("tiny", {"z": np.full((1, 8), np.nan, np.float32)}, "NaN"),
        ("tiny", {"z": np.full((1, 8), -np.inf, np.float32)}, "NaN"),
        ("tiny_from_seed", {"seed": np.array([[-1]])}, "a seed is outside"),
        ("tiny_png", {"seed": np.array([[2**32]])}, "a seed is outside"),
        ("animals", {"z": np.zeros((1, 8), np.float32), "label": np.array([[3]])}, "a label is outside 0 to 2"),
        ("animals", {"z": np.zeros((1, 8), np.float32), "label": np.array([[-1]])}, "a label is outside 0 to 2"),
        ("animals", {"z": np.zeros((1, 8), np.float32), "label": np.array([[2**62]])}, "a label is outside 0 to 2"),
    ],
)
def test_numbers_that_cannot_be_are_refused_in_words(served, model, inputs, said):
    inputs |= {} if "seed" in inputs else {"truncation": np.ones((1, 1), np.float32)}
    with connect(served.url) as client, pytest.raises(GanfoundryError, match=said):
        infer_async(client, model, inputs, output="png" if model.endswith("png") else "image", seconds=30).result()


def test_one_that_is_wrong_harms_nobody_it_shares_a_batch_with(served, attacker, golden):
    """Triton itself fails a batch in which there is one of 2**32: whoever was beside it is asked again."""
    nothing = [(name, kind, [2**32, *shape[1:]], data) for name, kind, shape, data in (Z, TRUNCATION)]
    nan = [(*Z[:3], struct.pack("<8f", *[float("nan")] * 8)), TRUNCATION]
    for wrong in (nothing, nan):
        with Sampler("gathering", served.url, in_flight=3) as sampler:
            sampler.batch = 1
            answers = sampler.sample_latents(golden.inputs["z"][[0, 0, 0]])
            with ThreadPoolExecutor(1) as pool:
                images = pool.submit(list, answers)
                code, _ = attacker.send(infer_request("gathering", *wrong).SerializeToString())
            assert code in {"INVALID_ARGUMENT", "INTERNAL"}
            assert all(levels_apart(image, golden.images[0]) <= 1 for image in images.result())


def test_models_and_versions_that_are_not_there(attacker, served):
    for name in ("", "nobody", "..", "../..", "tiny/../tiny", "tiny/1", "/etc/passwd", TOO_LONG):
        code, said = attacker.send(infer_request(name, Z, TRUNCATION).SerializeToString())
        assert code in REFUSED, (name, said)
    for version in ("-1", "0", "2", "9223372036854775808", "18446744073709551617", "x", "../1"):
        code, said = attacker.send(infer_request("tiny", Z, TRUNCATION, version=version).SerializeToString())
        assert code in REFUSED, (version, said)
        path = f"/v2/models/tiny_png/versions/{version}/infer"
        assert attacker.post(path, attacker.texts[1][1])[0] in ("400", "404"), version


PARAMETERS = [
    {"bool_param": False},
    {"int64_param": -(2**63)},
    {"uint64_param": 2**64 - 1},
    {"double_param": float("nan")},
    {"string_param": 'a"b\\\0'},
    {"string_param": "x" * 100_000},
]


@pytest.mark.parametrize(
    "key", ["alone", 'a"b', "", "priority", "sequence_id", "sequence_end", "binary_data_output", "headers"]
)
def test_parameters_of_odd_types(attacker, served, key):
    for model in ("tiny", "tiny_from_seed"):
        for parameter in PARAMETERS:
            request = infer_request(model, *DOORS[model])
            for name, value in parameter.items():
                setattr(request.parameters[key], name, value)
            code, said = attacker.send(request.SerializeToString())
            assert code in {"OK", "INVALID_ARGUMENT", "UNIMPLEMENTED"}, (parameter, said)


def test_outputs_that_are_not_there_and_memory_that_is_not_shared(attacker, served):
    for place in ("inputs", "outputs"):
        for size, offset in ((0, 0), (32, 2**62), (2**62, 2**62), (-1, -1)):
            request = infer_request("tiny", Z, TRUNCATION)
            request.outputs.add(name="image")
            parameters = getattr(request, place)[0].parameters
            parameters["shared_memory_region"].string_param = "../nobody"
            parameters["shared_memory_byte_size"].int64_param = size
            parameters["shared_memory_offset"].int64_param = offset
            assert attacker.send(request.SerializeToString())[0] in REFUSED, (place, size)
    request = infer_request("tiny", Z, TRUNCATION)
    request.outputs.add(name="nothing")
    assert attacker.send(request.SerializeToString())[0] == "INVALID_ARGUMENT"


def test_large_bodies(attacker, served):
    large = infer_request("tiny", (*Z[:3], bytes(BODY)), TRUNCATION).SerializeToString()
    for _ in range(2):
        assert attacker.send(large)[0] == "INVALID_ARGUMENT"
    assert attacker.send(large, compression=grpc.Compression.Gzip)[0] == "INVALID_ARGUMENT"
    path, text = attacker.texts[1]
    assert attacker.post(path, b" " * BODY + text)[0] == "413"
    bomb = gzip.compress(b" " * BODY, compresslevel=1)
    assert attacker.post(path, bomb, "Content-Encoding: gzip")[0] == "415"


INFER = "/v2/models/tiny_png/infer"
RIGHT = b'{"inputs": [{"name": "seed", "shape": [1, 1], "datatype": "INT64", "data": [7]}]}'
BINARY = b'{"inputs":[{"name":"seed","shape":[1,1],"datatype":"INT64","parameters":{"binary_data_size":8}}]}'
TEXTS = {
    **{f"shape {shape}": RIGHT.replace(b"[1, 1]", shape) for shape in (
        b"[4611686018427387904, 1]", b"[2305843009213693952, 1]", b"[4294967296, 1]", b"[1, 1000000000]", b"[0, 1]",
        b"[-1, 1]", b"[1.5, 1]", b"[]", b"7", b'"x"', b"[1, 1, 1, 1, 1, 1, 1, 1, 1]", b"[true, 1]",
    )},
    **{f"{depth} lists": RIGHT.replace(b"[7]", b"[" * depth + b"7" + b"]" * depth) for depth in (50_000, 200_000)},
    "lists without an end": b"[" * 200_000,
    "members without an end": b'{"a":' * 200_000,
    "said twice": RIGHT.replace(b'"shape"', b'"shape": [4611686018427387904, 1], "shape"').replace(b"[7]", b"[7, 7]"),
    "classes": RIGHT[:-1] + b', "outputs": [{"name": "png", "parameters": {"classification": 1}}]}',
    "odd parameters": RIGHT[:-1] + b', "parameters": {"alone": [1]}}',
    "no number": RIGHT.replace(b"7", b"NaN"),
    "a large number": RIGHT.replace(b"7", b"9" * 5000),
    "text": RIGHT.replace(b"7", b'"7"'),
    "no JSON": b"{",
    "a list": b"[]",
    "no list": b'{"inputs": 7}',
    "no tensors": b'{"inputs": [7]}',
    "nothing": b"",
    "bytes": b"\xff\xfe\x00",
}  # fmt: skip


@pytest.mark.parametrize("what", TEXTS)
def test_texts_that_are_no_requests(attacker, served, what):
    status, body = attacker.post(INFER, TEXTS[what])
    assert status in {"400", "500"}
    assert "error" in json.loads(body)


@pytest.mark.parametrize("length", ["-1", "0", "1", "50", "1000", str(2**62), str(2**64), "x", "", "1e2", "0x10"])
def test_lengths_that_lie(attacker, served, length):
    body = BINARY + SEVEN
    assert attacker.post(INFER, body, f"Inference-Header-Content-Length: {len(BINARY)}")[0] == "200"
    assert attacker.post(INFER, body, f"Inference-Header-Content-Length: {length}")[0] in {"400", "500"}
    if length:
        other = BINARY.replace(b"8}", length.encode() + b"}")
        assert attacker.post(INFER, other + SEVEN, f"Inference-Header-Content-Length: {len(other)}")[0] in {
            "400",
            "500",
        }
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    status = attacker.send_raw(head + RIGHT)[0]
    assert status in {"400", "413"}


def test_what_is_no_request_at_all(attacker, served):
    post = f"POST {INFER} HTTP/1.1\r\nHost: x\r\n".encode()
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
    assert attacker.send_raw(chunked + b"1\r\n \r\n" * 600_000 + b"0\r\n\r\n")[0] in {"400", "closed"}
    twice = post + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\n"
    assert attacker.send_raw(twice + RIGHT)[0] == "400"
    assert attacker.send_raw(post + b"A: b\r\n" * 100_000 + b"\r\n")[0] in {"400", "431", "closed"}
    assert attacker.send_raw(b"GET /" + b"a" * 10**6 + b" HTTP/1.1\r\n\r\n")[0] in {"400", "414", "closed"}
    for garbage in (
        b"\0" * 1000,
        b"\r\n" * 1000,
        b"GET\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        assert attacker.send_raw(garbage)[0] in {"400", "505", "closed"}, garbage[:10]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/../..",
        "/v2/models/%2e%2e/infer",
        "/v2/models/tiny%00/infer",
        "/v2/models//infer",
        "/../../etc/passwd",
        "//",
        "/v2/models/tiny/generate",
        "/v2/models/\xff/infer",
        f"/v2/models/{'a' * 3000}/infer",
    ],
)
def test_paths_that_lead_elsewhere(attacker, served, path):
    for method in ("GET", "POST"):
        assert attacker.post(path, RIGHT, method=method)[0] in {"400", "403", "404", "405"}


def test_streams_that_are_given_up_or_hold_garbage(attacker, served):
    stub = service_pb2_grpc.GRPCInferenceServiceStub(attacker.channel)
    right, wrong = infer_request("tiny", Z, TRUNCATION), infer_request("tiny", Z)

    def give_up(times):
        for _ in range(times):
            answers = stub.ModelStreamInfer(iter([right] * 5))
            next(answers)
            answers.cancel()

    threads = [threading.Thread(target=give_up, args=(20,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = [answer.error_message for answer in stub.ModelStreamInfer(iter([right, wrong, right]), timeout=30)]
    assert sum(not each for each in said) == 2
    raw = attacker.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
    for garbage in (b"", b"\xff" * 100, right.SerializeToString()[:-5]):
        try:
            list(raw(iter([garbage]), timeout=30))
        except grpc.RpcError as error:
            assert error.code() is not grpc.StatusCode.UNAVAILABLE


def test_http_behind_the_gateway_runs_nothing_without_its_key(attacker, served):
    with Attacker(served.url, served.server._ports.http, "tiny", SPEC) as behind:
        for text in (RIGHT, TEXTS["200000 lists"]):
            status, body = behind.post(INFER, text)
            assert (status, b"gate-key" in body) == ("403", True)
        assert behind.post("/v2/health/ready", b"", method="GET")[0] == "200"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/tiny/generate", "403"),
        ("/v2/models/tiny/generate_stream", "403"),
        ("/v2/models/tiny/generate?a=b", "403"),
        ("/v2/models/tiny_png/infer?", "200"),
        ("/v2/models/tiny_png/infer?a=b&c", "200"),
        ("/v2/models/tiny_png/versions/1/infer?a", "200"),
        ("/v2/models/tiny_png/%69nfer", "404"),
    ],
)
def test_nobody_hears_of_the_key_that_nobody_has(attacker, served, path, status):
    for headers in ((), ("gate-key: x",)):
        found, body = attacker.post(path, RIGHT, *headers)
        assert (found, b"gate" in body) == (status, False)


CLOSED = {
    "ModelStatistics": ("GET", "/v2/models/stats"),
    "RepositoryIndex": ("POST", "/v2/repository/index"),
    "RepositoryModelLoad": ("POST", "/v2/repository/models/tiny/load"),
    "RepositoryModelUnload": ("POST", "/v2/repository/models/tiny/unload"),
    "SystemSharedMemoryStatus": ("GET", "/v2/systemsharedmemory/status"),
    "SystemSharedMemoryRegister": ("POST", "/v2/systemsharedmemory/region/x/register"),
    "SystemSharedMemoryUnregister": ("POST", "/v2/systemsharedmemory/unregister"),
    "CudaSharedMemoryRegister": ("POST", "/v2/cudasharedmemory/region/x/register"),
    "TraceSetting": ("POST", "/v2/trace/setting"),
    "LogSettings": ("POST", "/v2/logging"),
}


@pytest.mark.parametrize("call", CLOSED)
def test_administration_is_closed_without_the_key(attacker, served, call):
    method, path = CLOSED[call]
    ask_for = attacker.channel.unary_unary(f"/inference.GRPCInferenceService/{call}")
    for metadata in ((), (("triton-grpc-protocol-admin-key", "x" * 43),)):
        with pytest.raises(grpc.RpcError, match="This protocol is restricted"):
            ask_for(b"", timeout=30, metadata=metadata)
    for headers in ((), (f"admin-key: {'x' * 43}",)):
        status, body = attacker.post(path, b"{}", *headers, method=method)
        assert (status, b"restricted" in body) == ("403", True)


def test_administration_is_open_with_the_key(attacker, served):
    with connect(served.url) as client:
        index = client.get_model_repository_index(headers=served.access.headers)
        assert {model.name for model in index.models if model.state == "READY"} >= {"tiny", "tiny_png", "animals"}
        with pytest.raises(InferenceServerException, match="restricted"):
            client.get_model_repository_index()
    status, body = attacker.post("/v2/repository/index", b"", f"admin-key: {served.access.secret}")
    assert status == "200"
    assert {"name": "tiny", "version": "1", "state": "READY"} in json.loads(body)


@pytest.mark.parametrize("name", ["../tiny", "/etc", "a/b", ".hidden", "", "..", "nobody\0", TOO_LONG])
def test_names_that_are_paths_are_refused_by_ours_too(served, bundle, tmp_path, name):
    repository = served.repository
    before = sorted(repository.rglob("*"))
    for act in (
        lambda: publishing.publish(bundle, name, repository, trial=False),
        lambda: publishing.rollback(name, repository, trial=False),
    ):
        with pytest.raises(RepositoryError, match="cannot name a model"):
            act()
    with pytest.raises(DeployError, match="has no model"):
        plan(name, repository, tmp_path)
    with pytest.raises(ModelNotFound):
        Sampler(name, served.url)
    assert sorted(repository.rglob("*")) == before


FILES = {
    "20 MB": bytes(BODY // 5),
    "a hundred thousand parts": PICTURE[:33] + chunk(b"tEXt", b"") * 100_000 + PICTURE[33:],
    "texts of 15 MiB": PICTURE[:33] + chunk(b"tEXt", bytes(15 << 20)) + PICTURE[33:],
    "a text that unpacks to 100 MB": PICTURE[:33]
    + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(BODY)))
    + PICTURE[33:],
    "pixels that unpack to 100 MB": file_of(np.zeros((8, 12, 4), np.uint8), RGBA, packed=zlib.compress(bytes(BODY))),
    "another size": file_of(IMAGE, RGBA),
    "a size that overflows": PICTURE[:8]
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, RGBA, 0, 0, 0))
    + PICTURE[33:],
    "cut short": PICTURE[:-1],
    "twice": PICTURE * 2,
    "nothing": b"",
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_no_program_writes(attacker, served, what):
    """As bytes and as text, over gRPC; and beside one that is right."""
    data = FILES[what]
    for name, file in (("png", data), ("base64", base64.b64encode(data)), ("base64", data)):
        code, said = attacker.send(infer_request("painter_png", bytes_tensor(file, name)).SerializeToString())
        assert code == "INVALID_ARGUMENT", (name, said)
    both = ("png", "BYTES", [2, 1], b"".join(bytes_tensor(file)[3] for file in (PICTURE, data)))
    assert attacker.send(infer_request("painter_png", both).SerializeToString())[0] == "INVALID_ARGUMENT"
    assert attacker.send(changed("painter_png"))[0] == "OK"


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**32 - 1])
def test_lengths_of_files_that_lie(attacker, served, length):
    """Each value of a BYTES tensor has its length before it."""
    for data in (struct.pack("<I", length), struct.pack("<I", length) + PICTURE, PICTURE[:3]):
        code, said = attacker.send(changed("painter_png", lambda kind, shape, _, data=data: (kind, shape, data)))
        assert code == "INVALID_ARGUMENT", said


def test_mutated_requests_to_a_translator(served, tmp_path):
    """As below; its doors read what a person has."""
    golden = Golden.read(make_translator(tmp_path / "painter") / GOLDEN)
    with Attacker(served.url, served.ports.http, "painter", PAINTER) as attacker:
        report = fuzz(served, attacker, "painter", golden, random.Random(0), 200)
    assert (report.wrong, report.golden, report.answers.total()) == (0, 4, 200)
    assert set(report.answers) <= ANSWERS
    assert min(report.answers["OK"], report.answers["200"]) > 0


ANSWERS = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL", "200", "400", "404", "500", "UNIMPLEMENTED"}


def test_mutated_requests(attacker, served, golden):
    report = fuzz(served, attacker, "tiny", golden, random.Random(0), 400)
    assert (report.wrong, report.golden) == (0, 8)
    assert report.answers.total() == 400
    assert set(report.answers) <= ANSWERS
    assert min(report.answers["OK"], report.answers["200"]) > 10
