"""Run an engine on the bundle's golden inputs and compare with its golden images. Exit status 0 within the limits.

    python tensorrt/verify_engine.py [--precision fp16] [--engines NAME.engines]

Needs tensorrt, numpy and the GPU that the engine was built on.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import machine
from machine import Refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

np, trt = machine.needed("numpy"), machine.needed("tensorrt")
GOLDEN = machine.HERE.parent / "golden.npz"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--precision", default="fp16", help="fp32 or fp16")
    parser.add_argument("--engines", type=Path, default=machine.ENGINES, help="where build_engine.py wrote")
    options = parser.parse_args()

    plan, cuda = machine.read_plan(), machine.Cuda()
    path = options.engines / f"{options.precision}.plan"
    manifest = read_manifest(path.with_suffix(".json"))
    here = {**cuda.facts(), "tensorrt": trt.__version__, "onnx_sha256": machine.graph_of(plan, options.precision)[1]}
    if problem := machine.misfit(manifest, here):
        raise Refused(f"{path} does not fit: {problem}; build it here with build_engine.py --rebuild")

    try:
        engine = path.read_bytes()
    except OSError:
        raise Refused(f"{path} is missing: build it with build_engine.py") from None
    if machine.sha256(engine) != manifest.get("plan_sha256"):
        raise Refused(f"{path} is not the one its manifest describes: build it again")

    verify(engine, plan, options.precision, cuda)


def read_manifest(path: Path) -> dict[str, Any]:
    """What build_engine.py wrote beside an engine."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read ({error}): build the engine with build_engine.py") from None
    if not isinstance(values, dict):
        raise Refused(f"{path} is no engine's manifest: build the engine with build_engine.py")
    return values


def verify(serialised: bytes, plan: dict[str, Any], precision: str, cuda: machine.Cuda) -> None:
    """Every profile makes the golden images within the limits of the precision; else raise Refused, with the figure."""
    engine = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(serialised)
    if engine is None:
        raise Refused("TensorRT cannot load the engine: build it again")

    with np.load(GOLDEN, allow_pickle=False) as arrays:
        inputs = {name[len("input_") :]: arrays[name] for name in arrays.files if name.startswith("input_")}
        expected = arrays["image"]

    limits = plan["graphs"][precision]["limits"]
    for index, profile in enumerate(plan["profiles"]):
        images = make(engine, index, profile["shapes"], inputs, expected.shape[1:], cuda)
        apart = np.abs(seen(images) - seen(expected))
        mean, most = float(apart.mean(dtype=np.float64)), float(apart.max())
        print(f"{precision}, profile {profile['name']}: mean {mean:.3f} and at most {most:.1f} of 255 levels apart")
        if not (mean <= limits["mean"] and most <= limits["most"]):
            raise Refused(f"{precision} is off by more than {limits['mean']} on average or {limits['most']} at most")


def make(
    engine: Any, index: int, shapes: dict[str, Any], inputs: dict[str, Any], image: tuple[int, ...], cuda: machine.Cuda
) -> "NDArray[Any]":
    """The images (n, h, w, c) of ``inputs``, as many at a time as profile ``index`` takes."""
    context = engine.create_execution_context()
    context.set_optimization_profile_async(index, 0)
    count, batch = len(next(iter(inputs.values()))), min(shape["max"][0] for shape in shapes.values())
    batches = [{n: v[s : s + batch] for n, v in inputs.items()} for s in range(0, count, batch)]
    images: NDArray[Any] = np.concatenate([step(context, each, image, cuda) for each in batches])
    return images


def step(context: Any, inputs: dict[str, Any], image: tuple[int, ...], cuda: machine.Cuda) -> "NDArray[Any]":
    """One batch through ``context``, on the default stream."""
    count = len(next(iter(inputs.values())))
    images: NDArray[Any] = np.empty((count, *image), np.uint8)
    addresses = []

    try:
        for name, value in inputs.items():
            value = np.ascontiguousarray(value)
            addresses.append(cuda.allocate(value.nbytes))
            cuda.upload(addresses[-1], value)
            context.set_input_shape(name, value.shape)
            context.set_tensor_address(name, addresses[-1])

        addresses.append(cuda.allocate(images.nbytes))
        context.set_tensor_address("image", addresses[-1])
        if not context.execute_async_v3(0):
            raise Refused("TensorRT cannot run the engine: see its messages above")
        cuda.download(addresses[-1], images)
    finally:
        for address in addresses:
            cuda.free(address)
    return images


def seen(images: "NDArray[Any]") -> "NDArray[Any]":
    """Levels as they are seen: colour times alpha where there is alpha."""
    levels: NDArray[Any] = images.astype(np.float32)
    if images.shape[-1] == 4:
        levels[..., :3] *= levels[..., 3:] / 255
    return levels


if __name__ == "__main__":
    machine.run(main)
