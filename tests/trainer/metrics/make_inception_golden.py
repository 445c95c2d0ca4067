"""Makes inception_golden.npz: features by torch-fidelity, which knows nothing of ours, from random weights.

    pip install --no-deps torch-fidelity==0.4.0
    python -m tests.trainer.metrics.make_inception_golden

torch-fidelity itself agrees with TensorFlow's network to the last digits, so that what agrees with it does too. Its
file is imported without its package, whose other parts need torchvision. The weights are drawn anew from their names
whenever they are needed; only the features are kept.
"""

import importlib
import sys
import tempfile
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

GOLDEN = Path(__file__).with_name("inception_golden.npz")
SIZES = ((32, 32), (64, 96), (299, 299), (400, 310))  # enlarged, not square, as they are, reduced


def random_weights(shapes: dict[str, torch.Size]) -> dict[str, torch.Tensor]:
    """Weights that keep the signal's size through all layers, the same for a name and shape for ever."""
    return {name: _draw(name, shape) for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


def _draw(name: str, shape: torch.Size) -> torch.Tensor:
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if len(shape) > 1:
        values = random.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5
    elif name.endswith((".running_var", "bn.weight")):
        values = random.uniform(0.7, 1.4, shape)
    else:
        values = random.standard_normal(shape) * 0.2
    return torch.from_numpy(values.astype(np.float32))


def random_images() -> list[np.ndarray]:
    """A uint8 ``(1, h, w, 3)`` image of each size: coarse and fine patterns."""
    found = []
    for height, width in SIZES:
        random = np.random.RandomState(height * 1000 + width)
        coarse = random.randint(0, 200, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
        found.append((coarse + random.randint(0, 56, (height, width, 3))).astype(np.uint8)[None])
    return found


def main() -> None:
    """Ask the oracle."""
    package = ModuleType("torch_fidelity")
    package.__path__ = [str(Path(folder) / "torch_fidelity") for folder in sys.path]
    sys.modules["torch_fidelity"] = package
    oracle = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    shapes = shapes_without_loading(oracle)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        torch.save(random_weights(shapes), path)
        network = oracle("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    with torch.no_grad():
        features = [network(torch.from_numpy(image).permute(0, 3, 1, 2))[0] for image in random_images()]
    np.savez_compressed(GOLDEN, features=torch.cat(features).numpy().astype(np.float32))


def shapes_without_loading(oracle: type) -> dict[str, torch.Size]:
    """The names and shapes that the oracle expects; its constructor would download weights."""

    class Bare(oracle):  # type: ignore[misc]
        def load_state_dict(self, *_: object) -> None:
            pass

    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save({}, file.name)
        network = Bare("inception-v3-compat", ["2048"], feature_extractor_weights_path=file.name)
    return {name: value.shape for name, value in network.state_dict().items()}


if __name__ == "__main__":
    main()
