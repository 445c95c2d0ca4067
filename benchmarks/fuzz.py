"""Mutated requests against a real server, over gRPC and HTTP: does it live, stay exact, and keep its memory?

    .venv/bin/python benchmarks/fuzz.py [--bundle exports/sprites] [--count 5000] [--seed 0]

Wanted: no process is lost, every golden image in between is byte for byte the first one, memory stays bounded.
"""

import argparse
import base64
import functools
import json
import random
import socket
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import grpc
import psutil
from tritonclient.grpc import service_pb2

from core.bundle import GOLDEN, read_manifest
from core.contract import SOURCE
from core.examples import pictures
from core.golden import Golden
from core.images import encode_png
from core.spec import GeneratorSpec, SourceSpec
from serving.protocol.grpc import connect, infer_async
from serving.publishing import publish
from serving.server.launch import free_ports
from serving.server.supervisor import Event, Supervisor

INFER = "/inference.GRPCInferenceService/ModelInfer"
EVERY = 50  # requests between two looks at a golden image
SECONDS = 30.0
SIDES = (0, 1, -1, 2, 64, 65, 2**31, 2**32, 2**32 + 1, 2**61, 2**62, 2**62 + 1, 2**63 - 1, -(2**63))
TYPES = ("BOOL", "UINT8", "INT64", "UINT64", "FP16", "FP32", "FP64", "BYTES", "BF16", "", "fp32")
NAMES = ("", "nobody", "..", "../tiny", "tiny/1", "\0", "x" * 300)
VERSIONS = ("-1", "0", "1", "2", "9223372036854775808", "1e3", "x", "../1")
NESTED: Any = functools.reduce(lambda inner, _: [inner], range(900), 7)
VALUES = (*SIDES, 2**64, 1.5, -0.0, 1e308, None, True, "", "x", "7", [], {}, [[7]], [1, 1, 1], NESTED, "FP32", "BYTES")
BYTES = (
    b"\xff" * 9 + b"\x01",
    b"\x80\x80\x80\x80\x10",
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"[" * 40,
    b"-1",
    b"1e999",
)


@dataclass
class Report:
    """What came of it: answers by status, memory of server and stubs in MiB, how many golden images were other ones."""

    answers: Counter[str] = field(default_factory=Counter)
    before: float = 0.0
    after: float = 0.0
    golden: int = 0
    wrong: int = 0


class Attacker:
    """Sends what no client of ours would. ``original`` requests are of the model ``name``, which must be ``published``.

    A context manager.
    """

    def __init__(self, url: str, http_port: int, name: str, spec: GeneratorSpec) -> None:
        self.http_port = http_port
        self.channel = grpc.insecure_channel(url, [("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)])
        self._infer = self.channel.unary_unary(INFER)  # bytes in, bytes out
        self.originals = [request.SerializeToString() for request in originals(name, spec)]
        doors = ("png",) if spec.source else ("from_seed", "png")
        self.texts = [(f"/v2/models/{name}_{door}/infer", text_request(spec)) for door in doors]

    def __enter__(self) -> "Attacker":
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def send(self, data: bytes, **options: Any) -> tuple[str, str]:
        """The code and the words with which one request over gRPC is answered."""
        try:
            self._infer(data, timeout=SECONDS, **options)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        return "OK", ""

    def post(self, path: str, body: bytes, *headers: str, method: str = "POST") -> tuple[str, bytes]:
        """The status and the body with which one request over HTTP is answered."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", ""]
        return self.send_raw("\r\n".join(lines).encode("latin-1") + body)

    def send_raw(self, data: bytes) -> tuple[str, bytes]:
        """The same of any bytes; the status is ``closed`` where the connection is closed without one."""
        received = b""
        with socket.create_connection(("127.0.0.1", self.http_port), SECONDS) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(1 << 16):
                    received += piece
            except OSError:  # closed before all was sent
                pass
        head, _, body = received.partition(b"\r\n\r\n")
        return (head.split(b" ")[1].decode() if head.startswith(b"HTTP/") else "closed"), body

    def fuzz(self, chance: random.Random) -> str:
        """Send one request that is nearly right; gives how it was answered."""
        data, (path, text) = chance.choice(self.originals), chance.choice(self.texts)
        match chance.randrange(4):
            case 0:
                return self.send(mutated(chance, data))[0]
            case 1:
                return self.post(path, mutated(chance, text))[0]
            case 2:
                return self.post(path, json.dumps(odd_values(chance, json.loads(text))).encode())[0]
            case _:
                request = service_pb2.ModelInferRequest.FromString(data)
                return self.send(misshapen(chance, request).SerializeToString())[0]


def originals(name: str, spec: GeneratorSpec) -> list[Any]:
    """Right requests to a generator and its doors, raw and with typed contents; or to a translator."""
    if spec.source is not None:
        return _of_pictures(name, spec.source)
    one = struct.pack("<f", 1.0)
    label = [("label", "INT64", [1, 1], struct.pack("<q", 0))] if spec.classes else []
    codes = [("codes", "FP32", [1, spec.codes], bytes(4 * spec.codes))] if spec.codes else []
    noise = [("noise", "FP32", [1, spec.noise], bytes(4 * spec.noise))] if spec.noise else []
    z = ("z", "FP32", [1, spec.latent_dim], bytes(4 * spec.latent_dim))
    seed, truncation = ("seed", "INT64", [1, 1], struct.pack("<q", 7)), ("truncation", "FP32", [1, 1], one)
    requests = [
        infer_request(name, z, truncation, *label, *codes, *noise),
        infer_request(f"{name}_from_seed", seed, truncation, *label),
        *(infer_request(f"{name}_{door}", seed, *label) for door in ("from_seed", "png")),
    ]
    typed = service_pb2.ModelInferRequest(model_name=f"{name}_png")
    typed.inputs.add(name="seed", datatype="INT64", shape=[1, 1]).contents.int64_contents.append(7)
    return [*requests, typed]


def _of_pictures(name: str, source: SourceSpec) -> list[Any]:
    shape, file = [1, source.height, source.width, source.channels], file_for(source)
    typed = service_pb2.ModelInferRequest(model_name=f"{name}_png")
    typed.inputs.add(name="png", datatype="BYTES", shape=[1, 1]).contents.bytes_contents.append(file)
    return [
        infer_request(name, (SOURCE, "UINT8", shape, bytes(prod(shape)))),
        *(
            infer_request(f"{name}_png", (key, "BYTES", [1, 1], struct.pack("<I", len(data)) + data))
            for key, data in (("png", file), ("base64", base64.b64encode(file)))
        ),
        typed,
    ]


def file_for(source: SourceSpec) -> bytes:
    """The PNG file of a picture that a translator takes."""
    return encode_png(pictures(source, [0])[0])


def infer_request(model: str, *tensors: tuple[str, str, list[int], bytes], version: str = "") -> Any:
    """A request with tensors of names, types, shapes and bytes that need not fit together."""
    request = service_pb2.ModelInferRequest(model_name=model, model_version=version)
    for name, kind, shape, data in tensors:
        request.inputs.add(name=name, datatype=kind, shape=shape)
        request.raw_input_contents.append(data)
    return request


def text_request(spec: GeneratorSpec) -> bytes:
    """The same to a door, as JSON."""
    if spec.source is not None:
        text = base64.b64encode(file_for(spec.source)).decode()
        given = {"name": "base64", "shape": [1, 1], "datatype": "BYTES", "data": [text]}
        return json.dumps({"inputs": [given], "outputs": [{"name": "base64"}]}).encode()
    inputs: list[dict[str, Any]] = [{"name": "seed", "shape": [1, 1], "datatype": "INT64", "data": [7]}]
    if spec.classes:
        inputs.append({"name": "label", "shape": [1, 1], "datatype": "INT64", "data": [0]})
    inputs.append({"name": "truncation", "shape": [1, 1], "datatype": "FP32", "data": [0.5]})
    return json.dumps({"id": "a", "inputs": inputs, "parameters": {"alone": True}}).encode()


def mutated(chance: random.Random, data: bytes) -> bytes:
    """A few bytes changed, taken out, put in or said twice, or the end cut off."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at, length = chance.randrange(len(changed) + 1), chance.choice((1, 1, 2, 4, 8, 32))
        match chance.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at : at + 1] = bytes(byte ^ 1 << chance.randrange(8) for byte in changed[at : at + 1])
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = chance.choice(BYTES)
            case 4:
                changed[at:at] = changed[at : at + length]
            case _:
                del changed[max(at, 1) :]
    return bytes(changed)


def misshapen(chance: random.Random, request: Any) -> Any:
    """One thing changed in a request that stays a message."""
    tensor = chance.choice(request.inputs)
    changes: list[Callable[[], Any]] = [
        lambda: setattr(tensor, "datatype", chance.choice(TYPES)),
        lambda: setattr(tensor, "name", chance.choice(NAMES)),
        lambda: setattr(request, "model_name", chance.choice(NAMES)),
        lambda: setattr(request, "model_version", chance.choice(VERSIONS)),
        lambda: set_batch(request, chance.choice(SIDES)),
        lambda: tensor.shape.__setitem__(chance.randrange(len(tensor.shape)), chance.choice(SIDES)),
        lambda: tensor.shape.extend(chance.choices(SIDES, k=chance.randrange(1, 5))),
        lambda: tensor.ClearField("shape"),
        lambda: request.raw_input_contents.append(chance.randbytes(chance.choice((0, 1, 8, 4096)))),
        lambda: request.ClearField("raw_input_contents"),
        lambda: refill(chance, request),
        lambda: request.inputs.add().CopyFrom(tensor),
        lambda: request.inputs.remove(tensor),
        lambda: tensor.contents.bytes_contents.append(b"x"),
        lambda: tensor.contents.fp32_contents.extend([float("nan")] * chance.randrange(1, 9)),
        lambda: set_parameter(chance, request.parameters),
        lambda: set_parameter(chance, tensor.parameters),
        lambda: request.outputs.add(name=chance.choice(("image", "png", "z", *NAMES))),
    ]
    chance.choice(changes)()
    return request


def odd_values(chance: random.Random, value: Any) -> Any:
    """The same JSON with one value, somewhere in it, that is another."""
    if isinstance(value, dict | list) and value and chance.random() < 0.8:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = chance.choice(list(keys))
        value[key] = odd_values(chance, value[key])
        return value
    return chance.choice(VALUES)


def set_batch(request: Any, batch: int) -> None:
    for tensor in request.inputs:
        if tensor.shape:
            tensor.shape[0] = batch


def refill(chance: random.Random, request: Any) -> None:
    """Other bytes in place of a tensor's: as many, or not."""
    if request.raw_input_contents:
        at = chance.randrange(len(request.raw_input_contents))
        length = chance.choice((len(request.raw_input_contents[at]), chance.randrange(100)))
        request.raw_input_contents[at] = chance.choice((chance.randbytes(length), b"\xff" * length))


def set_parameter(chance: random.Random, parameters: Any) -> None:
    # Not "classification": asked for of a BYTES output it ends tritonserver 2.51 (docs/serve.md).
    keys = (
        "alone",
        "priority",
        "timeout",
        "sequence_id",
        "sequence_start",
        "binary_data",
        "shared_memory_region",
        'a"b',
    )
    value = parameters[chance.choice(keys)]
    match chance.randrange(5):
        case 0:
            value.bool_param = chance.random() < 0.5
        case 1:
            value.int64_param = chance.choice((-(2**63), 0, 2**62))
        case 2:
            value.uint64_param = 2**64 - 1
        case 3:
            value.double_param = chance.choice((float("nan"), 1e308))
        case _:
            value.string_param = chance.choice(("", 'a"b\\', "\0", "x" * 1000))


def memory(server: Supervisor) -> float:
    """MiB that the server and its stubs have resident."""
    assert server.server is not None
    processes = [psutil.Process(server.server.pid), *server.server.stubs]
    return sum(process.memory_info().rss for process in processes) / 2**20


def golden_bytes(server: Supervisor, name: str, golden: Golden) -> bytes:
    """The first golden image as the server makes it, run alone."""
    with connect(server.url) as client:
        row = {key: values[:1] for key, values in golden.inputs.items()}
        image: bytes = infer_async(client, name, row, seconds=SECONDS, no_batching=True).result().tobytes()
        return image


def fuzz(
    server: Supervisor, attacker: Attacker, name: str, golden: Golden, chance: random.Random, count: int
) -> Report:
    """Send ``count`` requests, and look at a golden image every ``EVERY``."""
    first, report = golden_bytes(server, name, golden), Report(before=memory(server))
    for number in range(1, count + 1):
        report.answers[attacker.fuzz(chance)] += 1
        if number % EVERY == 0 or number == count:
            report.golden += 1
            report.wrong += golden_bytes(server, name, golden) != first
    report.after = memory(server)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="what to serve")
    parser.add_argument("--count", type=int, default=5000, help="requests")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    options = parser.parse_args()
    print(f"$ python {' '.join(sys.argv)}")
    events: list[Event] = []
    with tempfile.TemporaryDirectory() as folder:
        publish(options.bundle, "fuzzed", Path(folder), trial=False)
        with Supervisor(Path(folder), free_ports(), on_event=events.append) as server:
            spec = read_manifest(options.bundle).spec
            with Attacker(server.url, server.ports.http, "fuzzed", spec) as attacker:
                golden = Golden.read(options.bundle / GOLDEN)
                report = fuzz(server, attacker, "fuzzed", golden, random.Random(options.seed), options.count)
    lost = [event.message for event in events if event.kind == "lost"]
    print("  " + ", ".join(f"{status} {times}" for status, times in report.answers.most_common()))
    print(f"  golden images: {report.golden - report.wrong} of {report.golden} as before (wanted: all)")
    print(f"  memory of server and stubs: {report.before:.0f} MiB before, {report.after:.0f} after; ", end="")
    print(f"processes lost: {len(lost)} (wanted: none) {' '.join(lost)}")


if __name__ == "__main__":
    main()
