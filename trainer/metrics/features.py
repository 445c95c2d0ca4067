"""Images to features, in batches; those of a pack are kept beside it, because they never change."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from core.contract import Inputs, count_of, sample_inputs
from core.errors import DataError
from core.files import write_atomic
from core.images import Images
from core.networks.base import Maker
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics.extractor import Extractor

BATCH = 32
MOST_REALS = 10_000  # of a pack are looked at, drawn at random but always the same
FOLDER = "features"  # in the pack

ImageFunction = Callable[[Inputs], Images]  # the graph's inputs to images (n, h, w, c): a network, a session, anything
Progress = Callable[[int, int], None]
Made = TypeVar("Made")


def chosen_reals(pack: Pack) -> NDArray[np.int64]:
    """The indices of the real images that are compared with, in random order, so that any half is a fair sample."""
    return np.random.RandomState(0).permutation(len(pack))[:MOST_REALS].astype(np.int64)


def real_features(
    pack: Pack, extractor: Extractor, progress: Progress = lambda *_: None, most: int = MOST_REALS
) -> Tensor:
    """Features ``(n, d)`` of the first ``most`` of ``chosen_reals(pack)``: read from the pack if there, else kept."""
    if (kept := kept_features(pack, extractor, most)) is not None:
        return kept
    chosen = chosen_reals(pack)[:most]
    return keep(pack, extractor, most, len(chosen), lambda rows: pack.gather(chosen[rows]), progress)


def kept_features(pack: Pack, extractor: Extractor, most: int = MOST_REALS) -> Tensor | None:
    """What ``real_features`` need not compute, because an earlier look at as many or more is kept in the pack."""
    count = len(chosen_reals(pack)[:most])
    for counted in dict.fromkeys((MOST_REALS, most)):
        if (kept := read_kept(pack, extractor, counted, len(chosen_reals(pack)[:counted]))) is not None:
            return kept[:count]
    return None


def read_kept(pack: Pack, extractor: Extractor, what: int | str, count: int) -> Tensor | None:
    """The ``count`` features that ``keep`` has kept under ``what``; None if they are not there, or damaged."""
    try:
        with safe_open(_kept_path(pack, extractor, what)[0], "pt") as file:
            kept: Tensor = file.get_tensor("features")
        return kept if len(kept) == count and kept.isfinite().all() else None
    except (OSError, SafetensorError):
        return None


def keep(
    pack: Pack,
    extractor: Extractor,
    what: int | str,
    count: int,
    images: Callable[[slice], Images],
    progress: Progress = lambda *_: None,
) -> Tensor:
    """Features ``(count, d)`` of ``images``, a function of the pack alone; they are kept in it under ``what``."""
    path, facts = _kept_path(pack, extractor, what)
    found = torch.cat(in_batches(count, lambda rows: extractor.features(images(rows)), progress))
    with suppress(OSError):  # a pack that may not be written to is still a pack
        write_atomic(path, save({"features": found}, {"facts": facts}))
    return found


def _kept_path(pack: Pack, extractor: Extractor, what: int | str) -> tuple[Path, str]:
    """Where features of the pack are kept, and what they depend on."""
    facts = [pack.info.fingerprint, extractor.name, dict(extractor.protocol), what]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return pack.path / FOLDER / f"{extractor.name}-{key[:16]}.safetensors", json.dumps(facts)


def fake_features(
    make: ImageFunction, inputs: Inputs, extractor: Extractor, progress: Progress = lambda *_: None
) -> Tensor:
    """Features ``(n, d)`` of what ``make`` makes of ``inputs``, each ``(n, …)``."""
    count = count_of(inputs)
    return torch.cat(in_batches(count, lambda rows: extractor.features(make(take(inputs, rows))), progress))


def features_of(images: Images, extractor: Extractor, progress: Progress = lambda *_: None) -> Tensor:
    """Features ``(n, d)`` of ``images`` ``(n, h, w, c)``."""
    return torch.cat(in_batches(len(images), lambda rows: extractor.features(images[rows]), progress))


def take(inputs: Inputs, rows: slice | Sequence[int]) -> dict[str, NDArray[np.generic]]:
    """Some rows of every input."""
    return {name: value[rows] for name, value in inputs.items()}


def inputs_like(pack: Pack, spec: GeneratorSpec, seeds: Sequence[int]) -> Mapping[str, NDArray[np.generic]]:
    """The generator's inputs for ``seeds``, with classes as frequent as in ``pack``: a set to compare with it.

    Categories that a generator found by itself come equally often; codes are drawn as they were in training.
    Raises DataError unless pack and generator agree on size, channels and classes.
    """
    # Of the same size
    info = pack.info
    if (spec.height, spec.width, spec.channels) != (info.height, info.width, info.channels):
        raise DataError(
            f"the generator makes {spec.width}x{spec.height} images of {spec.channels} channels, the pack {info.name} "
            f"holds {info.width}x{info.height} of {info.channels}: import the data again with --size and --channels"
        )

    # Latents, and codes and classes where there are any
    inputs = sample_inputs(spec, seeds)
    if spec.codes:
        inputs["codes"] = np.random.RandomState(0).uniform(-1, 1, (len(seeds), spec.codes)).astype(np.float32)
    if spec.classes and not spec.found_its_classes:
        if pack.labels is None or info.classes != spec.classes:
            raise DataError(
                f"the pack {info.name} has other classes than the generator: import it with the same labels"
            )
        drawn = np.random.RandomState(0).randint(len(pack), size=len(seeds))
        inputs["label"] = pack.labels[drawn].reshape(-1, 1)
    return inputs


def maker(generator: Maker) -> ImageFunction:
    """``generator``, on whatever device it is, as a function of the graph's inputs."""

    @torch.no_grad()
    def make(inputs: Inputs) -> Images:
        given = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in inputs.items()}
        images: Images = (
            generator.pixels({name: value.to(generator.device) for name, value in given.items()}).cpu().numpy()
        )
        return images

    return make


def in_batches(count: int, made: Callable[[slice], Made], progress: Progress = lambda *_: None) -> list[Made]:
    """What ``made`` makes of 0 … ``count``, a few at a time."""
    parts = []
    for start in range(0, count, BATCH):
        parts.append(made(slice(start, start + BATCH)))
        progress(min(start + BATCH, count), count)
    return parts
