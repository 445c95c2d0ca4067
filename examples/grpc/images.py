"""Images of seeds over plain gRPC, with Triton's own protocol and nothing of Ganfoundry's.

    python images.py --url localhost:8001 --truncation 0.7 sprites 0 8 out/      # seeds 0 to 7

Needs: pip install 'tritonclient[grpc]' pillow. tritonclient is here for the protocol's messages alone; they can also be
made with grpcio-tools from https://github.com/triton-inference-server/common/tree/main/protobuf.
"""

import argparse
import sys
from pathlib import Path

import grpc
import numpy as np
from PIL import Image
from tritonclient.grpc import service_pb2, service_pb2_grpc

# gRPC takes messages of 4 MiB unless it is told otherwise, and 8 images of 512x512 with alpha are 8 MiB: without this
# the answer is RESOURCE_EXHAUSTED, "Received message larger than max". 2**31 - 1 bytes is the most there can be.
LARGEST = 2**31 - 1
OPTIONS = [("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST)]


def images(url: str, model: str, seeds: range, truncation: float = 1.0, label: int | None = None) -> np.ndarray:
    """The images of ``seeds``, uint8 (n, height, width, channels), straight alpha; ``label`` is a class's number."""
    request = service_pb2.ModelInferRequest(model_name=f"{model}_from_seed")
    add(request, "seed", "INT64", np.array(seeds, np.int64)[:, None])
    add(request, "truncation", "FP32", np.full((len(seeds), 1), truncation, np.float32))
    if label is not None:
        add(request, "label", "INT64", np.full((len(seeds), 1), label, np.int64))
    with grpc.insecure_channel(url, options=OPTIONS) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
    return np.frombuffer(answer.raw_output_contents[0], np.uint8).reshape(answer.outputs[0].shape)


def add(request: service_pb2.ModelInferRequest, name: str, datatype: str, values: np.ndarray) -> None:
    """One input: its description, and its bytes in the same place of another list."""
    request.inputs.add(name=name, datatype=datatype, shape=values.shape)
    request.raw_input_contents.append(values.tobytes())


def main() -> None:
    """Write out/SEED.png of each seed; what is there already is left as it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("first", type=int, help="the first seed")
    parser.add_argument("count", type=int, help="how many; at most the model's max_batch_size")
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", default="localhost:8001")
    parser.add_argument("--truncation", type=float, default=1.0)
    parser.add_argument("--label", type=int, help="the number of a class, the first is 0")
    told = parser.parse_args()
    seeds = range(told.first, told.first + told.count)
    try:
        made = images(told.url, told.model, seeds, told.truncation, told.label)
        told.out.mkdir(parents=True, exist_ok=True)
        for seed, image in zip(seeds, made, strict=True):
            with (told.out / f"{seed:010d}.png").open("xb") as file:  # x: never over a file that is there
                Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "PNG")
    except grpc.RpcError as error:
        sys.exit(f"images.py: {error.details()}")
    except OSError as error:
        sys.exit(f"images.py: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
