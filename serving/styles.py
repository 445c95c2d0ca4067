"""The two parts of a served generator that has styles: finding them, and what is done to styles between the two."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from core.errors import ModelNotFound, RequestRefused, ServerUnavailable
from serving.config import PART, WHOLE, ModelConfig, from_message, part_name
from serving.wire import CONTROL_SECONDS, translated

THIRDS = ("coarse", "middle", "fine")


@dataclass(frozen=True)
class Parts:
    """The models that are the two parts of another.

    ``shape`` is the ``(layers, style_dim)`` of what goes between them, ``max_batch`` what both take at once.
    """

    mapping: str
    synthesis: str
    shape: tuple[int, int]
    max_batch: int


def find_parts(client: Any, url: str, model: str, version: str) -> Parts | None:
    """The parts of that version of ``model``; None where the server has none. Raises ServerUnavailable."""
    names = {part: part_name(model, part) for part in ("mapping", "synthesis")}
    configs = []
    for part, name in names.items():
        config = _config(client, url, name, version)
        if config is None or (config.parameters.get(PART), config.parameters.get(WHOLE)) != (part, model):
            return None
        configs.append(config)
    layers, style_dim = configs[1].inputs[0].dims
    most = min(config.max_batch_size for config in configs)
    return Parts(names["mapping"], names["synthesis"], (layers, style_dim), most)


def refusal(model: str, version: str) -> RequestRefused:
    """What is said of a model that has no parts."""
    return RequestRefused(
        f"'{model}' version {version} has no styles, so none can be mixed: a bundle of a style generator (preset "
        "stylegan-lite) has; seeds, truncation and --interpolate work with every model"
    )


def as_float32(values: Any) -> NDArray[np.float32]:
    """``values`` as the graph takes them; what is too large for it becomes an infinity, without a word."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(np.float32)


def check_rows(model: str, what: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """``values`` as float32. Raises RequestRefused unless they are ``(n, *shape)`` and finite."""
    rows = as_float32(values)
    if rows.ndim == 0 or rows.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise RequestRefused(f"the {what} have shape {rows.shape}: '{model}' takes (n, {wanted})")
    if not np.isfinite(rows).all():
        raise RequestRefused(f"the {what} hold a NaN or an infinity: send finite numbers")
    return rows


def parse_layers(text: str, layers: int) -> slice:
    """``coarse``, ``middle``, ``fine``, ``I-J`` or ``I`` as some of ``layers`` layers, which are counted from 0.

    Karras et al. 2019, section 3.1, call the layers of small sizes coarse and those of the largest fine; here each
    is a third of the layers, rounded. Raises RequestRefused for anything else, and for a third with no layer.
    """
    last = layers - 1
    if text in THIRDS:
        start, stop = (round(layers * third / 3) for third in (THIRDS.index(text), THIRDS.index(text) + 1))
    else:
        first, dash, end = (each.strip() for each in text.partition("-"))
        if not (first.isdecimal() and (end.isdecimal() or not dash)):
            raise RequestRefused(f"'{text}' names no layers: write coarse, middle, fine, or a range like 0-{last}")
        start, stop = int(first), int(end or first) + 1
    if not 0 <= start < stop <= layers:
        raise RequestRefused(f"'{text}' is not a range of this model's layers, which are 0-{last}")
    return slice(start, stop)


def mixed(w: NDArray[np.float32], other: NDArray[np.float32], layers: slice) -> NDArray[np.float32]:
    """``w`` with some layers from ``other``, both ``(…, layers, style_dim)``."""
    result = w.copy()
    result[..., layers, :] = other[..., layers, :]
    return result


def _config(client: Any, url: str, model: str, version: str) -> ModelConfig | None:
    try:
        return from_message(client.get_model_config(model, version, client_timeout=CONTROL_SECONDS).config)
    except InferenceServerException as error:
        ours = translated(error, model)
    if isinstance(ours, (ModelNotFound, RequestRefused)):
        return None
    raise ServerUnavailable(f"{url}: {ours}") if isinstance(ours, ServerUnavailable) else ours
