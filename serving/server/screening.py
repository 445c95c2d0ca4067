"""What of a request over HTTP may reach the bundled Triton: its JSON, held against limits, and written anew."""

import json
import math
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

MOST_BYTES = 16 << 20  # of a body
MOST_JSON = 4 << 20  # of JSON in it, which takes twenty times as much memory once it is read
MOST_SIDES = 8  # of a shape
JSON_LENGTH = "Inference-Header-Content-Length"
NUMBER = re.compile(r"[0-9]{1,18}")


class Refused(Exception):
    """A request that is not passed on."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


def rewritten(body: bytes, json_length: str | None, infers: bool) -> tuple[bytes, int]:
    """A body as it may be passed on, and how many bytes of it are JSON: the first ``json_length``, all unless given.

    Written anew, because of two members with one name, parsers take one or the other. Raises Refused.
    """
    if json_length is not None and not (NUMBER.fullmatch(json_length) and 0 < int(json_length) <= len(body)):
        raise Refused(HTTPStatus.BAD_REQUEST, f"the {JSON_LENGTH} is not the length of the JSON in the body")

    length = len(body) if json_length is None else int(json_length)
    if length > MOST_JSON:
        why = f"send at most {MOST_JSON} bytes of JSON, larger tensors as binary data"
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)

    try:
        request = json.loads(body[:length], parse_constant=_no_number)
        text = json.dumps(request).encode()
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
    if infers:
        _check(request, len(body))
    return text + body[length:], len(text)


def _check(request: Any, size: int) -> None:
    """Raise Refused for what would end a Triton 2.51. ``size`` is the request's, in bytes."""
    for tensor in _members(request, "inputs"):
        shape = tensor.get("shape")
        sides = shape if isinstance(shape, list) and len(shape) <= MOST_SIDES else [-1]
        fits = all(type(side) is int and 1 <= side <= size for side in sides) and math.prod(sides) <= size
        if not fits:  # no value takes less than a byte, and Triton makes room for all before it counts them
            raise Refused(
                HTTPStatus.BAD_REQUEST, "an input has no shape, an empty one, or one of more values than bytes"
            )

    for tensor in _members(request, "outputs"):
        parameters = tensor.get("parameters", {})
        if not isinstance(parameters, dict) or "classification" in parameters:  # it divides by the size of a BYTES
            raise Refused(HTTPStatus.BAD_REQUEST, "an output is asked for as classes: ask for it as it is")


def _members(request: Any, name: str) -> Iterator[dict[str, Any]]:
    tensors = request.get(name, []) if isinstance(request, dict) else None
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise Refused(HTTPStatus.BAD_REQUEST, f"the request has no list of {name}")
    yield from tensors


def _no_number(name: str) -> None:
    raise ValueError(name)
