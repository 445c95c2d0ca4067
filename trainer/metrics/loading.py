"""The generator of a run or a bundle as a function from inputs to images, which is all that judging needs."""

from functools import partial
from pathlib import Path

import torch

from core.bundle import GRAPH, MANIFEST, read_bundle
from core.checkpoint import load_generator
from core.onnx.session import open_session, run
from core.run import GENERATOR
from core.spec import GeneratorSpec
from trainer.metrics.features import ImageFunction, maker


def open_generator(source: Path, device: torch.device) -> tuple[ImageFunction, GeneratorSpec]:
    """What ``source`` makes of a graph's inputs: a bundle in ONNX Runtime, anything else in PyTorch on ``device``.

    Raises BundleError or CheckpointError for what is no generator.
    """
    if (source / MANIFEST).is_file():
        manifest = read_bundle(source)
        return partial(run, open_session((source / GRAPH).read_bytes())), manifest.spec
    generator = load_generator(source / GENERATOR if source.is_dir() else source, device)
    return maker(generator), generator.spec
