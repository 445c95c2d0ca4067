"""One request over gRPC: connecting, asking without waiting, and tritonclient's errors as ours."""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from core.errors import (
    ModelNotFound,
    RequestRefused,
    ServerBusy,
    ServerOverloaded,
    ServerUnavailable,
    ServingError,
    first_line,
)
from serving.protocol import refusals
from serving.protocol.proxies import asked_by_grpc, is_loopback
from serving.protocol.requests import OUTPUT as OUTPUT
from serving.protocol.requests import Answer as Answer
from serving.protocol.tls import ClientTls

CONTROL_SECONDS = 10.0  # for questions that no model has to work for
_ADDRESS = re.compile(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:.%\w]+\]):(?P<port>[0-9]{1,5})")


def connect(url: str, tls: ClientTls | None = None) -> Any:
    """A client for the server at ``url`` (``host:port``); nothing is sent yet.

    Raises ServerUnavailable for anything that is not an address, and ServingError for certificates that are damaged.
    """
    options = channel_options(url)
    if tls is None:
        return InferenceServerClient(url, channel_args=options)
    tls.check()
    if tls.name:
        options.append(("grpc.ssl_target_name_override", tls.name))
    files = (tls.trusted, tls.key, tls.certificate)
    return InferenceServerClient(url, False, True, *(file and str(file) for file in files), channel_args=options)


def channel_options(url: str) -> list[tuple[str, int | str]]:
    """gRPC's options for the server at ``url``. Raises ServerUnavailable for anything that is not an address."""
    address = _ADDRESS.fullmatch(url)
    if address is None or not 1 <= int(address["port"]) <= 65535:
        without = " without http:// or a path" if "/" in url else ""
        raise ServerUnavailable(f"{url!r} is not a server's address: write host:port{without}, like localhost:8001")
    options: list[tuple[str, int | str]] = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        # A server that comes back after a restart is found again in a moment, not after gRPC's twenty seconds.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.min_reconnect_backoff_ms", 5000),  # in spite of its name, how long one attempt may take
        # Else clients of one process share their connection, and the pauses after it was refused to one of them.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if is_loopback(address["host"]):
        options.append(("grpc.enable_http_proxy", 0))
    return options


def at(url: str, error: ServerUnavailable) -> str:
    """``error`` with the address it is of, and the proxy that was asked for it, which may be the reason."""
    proxy = asked_by_grpc(url)
    return f"{url}: {error}" + (
        f" (it was asked through {proxy}: set no_grpc_proxy to go there directly)" if proxy else ""
    )


def infer_async(
    client: Any,
    model: str,
    inputs: Mapping[str, NDArray[Any]],
    *,
    output: str = OUTPUT,
    version: str = "",
    seconds: float | None = None,
    no_batching: bool = False,
) -> Answer:
    """Send one request; the future holds its ``output`` ``(n, …)``, images unless told, or one of our errors.

    ``seconds`` is the deadline. ``no_batching`` asks for a run that no other request shares. Cancelling gives
    the call up.
    """
    answer: Answer = Future()

    def answered(result: Any, error: Any) -> None:
        if not answer.set_running_or_notify_cancel():
            return
        if error is None:
            answer.set_result(result.as_numpy(output))
        else:
            answer.set_exception(translated(error, model))

    call = client.async_infer(
        model,
        infer_inputs(inputs),
        answered,
        model_version=version,
        outputs=[InferRequestedOutput(output)],
        client_timeout=seconds,
        parameters={"alone": True} if no_batching else None,
    )
    answer.add_done_callback(lambda future: call.cancel() if future.cancelled() else None)
    return answer


def infer_inputs(inputs: Mapping[str, NDArray[Any]]) -> list[InferInput]:
    """Arrays by name as tritonclient wants them."""
    tensors = {name: InferInput(name, list(a.shape), np_to_triton_dtype(a.dtype)) for name, a in inputs.items()}
    return [tensor.set_data_from_numpy(inputs[name]) for name, tensor in tensors.items()]


def translated(error: Exception, model: str = "", in_our_words: Callable[[str], str] = str) -> ServingError:
    """One of our errors, a line long, for what tritonclient raised about ``model``."""
    status = str(error.status() or "") if isinstance(error, InferenceServerException) else ""
    said = in_our_words(first_line(error.message() if isinstance(error, InferenceServerException) else error))

    # Refused for now: asking again helps.
    if "maximum queue size" in said:
        return ServerOverloaded(f"the server has too many requests waiting for '{model}': ask again later")
    if "timeout expired" in said:
        return ServerOverloaded(f"a request to '{model}' waited too long behind others: ask again later")
    if "max allowed is" in said:  # Triton takes a batch of 2**32 in, and finds out when it has put others beside it
        return ServerOverloaded(f"'{model}' was asked together with a batch that is none: ask again later")
    if "not at ready state" in said:  # said with NOT_FOUND while a server stops or starts
        return ServerBusy(f"the server is stopping or not ready yet ({said}): ask again later")

    # Refused for good.
    if "unknown model" in said or "NOT_FOUND" in status:
        return ModelNotFound(f"the server does not have '{model}' ({said})")
    if "INVALID_ARGUMENT" in status:
        words = refusals.in_our_words(said)
        return RequestRefused(f"the server refused the request: {said}" if words == said else words)

    # There is nobody who answers.
    if "DEADLINE_EXCEEDED" in status:
        return ServerUnavailable("the server did not answer in time: it is overloaded or hung, ask again later")
    if "DNS resolution" in said or "errors resolving" in said:
        return ServerUnavailable("no machine of that name is known: write host:port, like localhost:8001")
    if "connect" in said and "UNAVAILABLE" in status:
        return ServerBusy("no server answers there: start one with 'serve'")
    if "UNAVAILABLE" in status or "CANCELLED" in status or "not healthy" in said:
        return ServerBusy(f"the server is stopping, restarting or gone ({said}): ask again later")
    return ServingError(f"the server failed ({said}): its log says more")
