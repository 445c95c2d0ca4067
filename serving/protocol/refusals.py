"""Why Triton refuses a request, in words that say what to do in place of its own (server 2.51 and later)."""

import json
import re
from collections.abc import Callable
from http import HTTPStatus

_ID = re.compile(r"(in ensemble '[^']*', )?(\[request id: [^\]]*\] )?")  # what may stand before all of them
_UNREAD = ("Unable to parse", "failed to get request params")
_WORDS: tuple[tuple[str, Callable[..., str]], ...] = (
    (
        r"unexpected inference input '(.*)' for model '(.*)'",
        lambda name, model: f"'{model}' takes no '{name}': leave it out",
    ),
    (
        r"unexpected inference output '(.*)' (?:requested )?for model '(.*)'",
        lambda name, model: f"'{model}' gives no '{name}': ask for what it gives, or name no output to get all",
    ),
    (
        r"inference input '(.*)' data-type is '(.*)', but model '(.*)' expects '(.*)'",
        lambda name, got, model, wanted: f"'{name}' of '{model}' is {_type(wanted)}, not {_type(got)}: send it as that",
    ),
    (
        r"unexpected shape for input '(.*)' for model '(.*)'\. Expected \[(.*?)\], got \[(.*?)\].*",
        lambda name, model, wanted, got: (
            f"'{name}' of '{model}' has the shape [{_batch(wanted)}], not [{_spaced(got)}]"
        ),
    ),
    (
        r"inference request batch-size must be <= (\d+) for '(.*)'",
        lambda most, model: f"'{model}' makes at most {most} images a request: send the rest in further ones",
    ),
    (
        r"expected .* but got .* inputs for model '(.*)'\. Got input\(s\) .* missing required input\(s\) \[(.*)\].*",
        lambda model, names: f"'{model}' needs {_spaced(names)} too: send it",
    ),
    (
        r"input '(.*)' batch size does not match other inputs for '(.*)'",
        lambda name, model: f"'{name}' of '{model}' has not as many rows as the other inputs: send one for each image",
    ),
    (
        r"input '(.*)' already exists in request",
        lambda name: f"'{name}' is there twice: leave one out",
    ),
    (
        r"out of bounds index 0: request has 0 inputs",
        lambda: "the request has no inputs: send what the model takes, a seed or a picture",
    ),
    (
        r"invalid datatype for input (.*)",
        lambda name: f"the datatype of '{name}' is none: send INT64, FP32, UINT8 or BYTES, as the model takes it",
    ),
    (
        r"Unable to parse 'data': Shape does not match true shape of 'data' field",
        lambda: "the data of an input are not as many values as its shape says: send as many",
    ),
    (
        r"Unable to parse '(.*)': attempt to access JSON non-.* as .*",
        lambda name: (
            f"the {name} of an input holds what is not of its datatype: send whole numbers as INT64, texts as BYTES"
        ),
    ),
    (
        r"Unable to parse '.*': attempt to access non-existing object member '(.*)'",
        lambda name: f"an input has no {name}: send its name, datatype, shape and data",
    ),
    (
        r"failed to get request params.*",
        lambda: "the parameters of a request are no object: write them as {}",
    ),
    (
        r"Not Found",
        lambda: "there is nothing at this address: POST what a model is asked for to /v2/models/NAME/infer",
    ),
    (
        r"(?:Request for )?unknown model: '(.*?)'(?: version (\d+))? (?:is not found|has no available versions)",
        lambda model, version: (
            f"the server has no model '{model}'{_version(version)}: 'models' lists those of a repository"
        ),
    ),
)


def in_our_words(text: str) -> str:
    """Triton's reason for a refusal in our words; any other text is given back unchanged."""
    said = _ID.sub("", text, count=1)
    for pattern, words in _WORDS:
        if found := re.fullmatch(pattern, said, re.DOTALL):
            return words(*found.groups())
    return text


def answer_in_our_words(status: int, body: bytes) -> tuple[int, bytes]:
    """The status and the body of a refusal over HTTP, ``{"error": …}``, in our words; any other
    body is given back unchanged.

    Triton says 500, as if it were to blame, to JSON that it cannot read.
    """
    try:
        answer = json.loads(body)
        said = answer["error"]
        words = in_our_words(said)
    except (ValueError, TypeError, KeyError):
        return status, body
    if said.startswith(_UNREAD):
        status = HTTPStatus.BAD_REQUEST
    return status, body if words == said else json.dumps({"error": words}, ensure_ascii=False).encode()


def _type(name: str) -> str:
    return "BYTES" if name == "STRING" else name  # as requests call it


def _batch(sides: str) -> str:
    """A shape as its reader knows it: the first side, whatever it may be, is the batch."""
    return re.sub(r"^-1", "batch", _spaced(sides))


def _spaced(sides: str) -> str:
    return ", ".join(sides.split(","))


def _version(number: str | None) -> str:
    return f" in version {number}" if number else ""
