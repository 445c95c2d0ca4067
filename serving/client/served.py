"""A served model as what a ``Session`` asks: Triton over gRPC."""

from collections.abc import Iterable, Iterator
from typing import Any

from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from core.errors import ModelNotFound, RequestRefused, ServerUnavailable, ServingError, SpecError
from core.spec import GeneratorSpec
from serving.client.pipeline import RequestPipeline
from serving.client.retry import RetryBudget
from serving.protocol.grpc import CONTROL_SECONDS, at, connect, translated
from serving.protocol.model_config import BUNDLE, PART, SPEC, WHOLE, ModelConfig, part_name
from serving.protocol.pbtxt import from_message
from serving.protocol.requests import Parts, Request
from serving.protocol.tls import ClientTls


class ServedModel:
    """One version of one model of the server at ``url``, the newest when this was made: a ``Source``.

    Raises ServerUnavailable, ModelNotFound, or ServingError for a model that is not one of ours.
    """

    def __init__(
        self, model: str, url: str, in_flight: int = 4, seconds: float = 60.0, tls: ClientTls | None = None
    ) -> None:
        self.model, self.url, self._in_flight = model, url, in_flight
        self._budget = RetryBudget(seconds)
        self._client = connect(url, tls)
        try:
            self.version, config = self._find()
            self.spec = _spec_of(model, config)
        except BaseException:
            self.close()
            raise
        self.bundle = config.parameters.get(BUNDLE, "")
        self.max_batch = config.max_batch_size

    def parts(self) -> Parts | None:
        """Its parts; None where the server has none. Raises ServerUnavailable."""
        names = {part: part_name(self.model, part) for part in ("mapping", "synthesis")}
        configs = []
        for part, name in names.items():
            config = self._config(name)
            if config is None or (config.parameters.get(PART), config.parameters.get(WHOLE)) != (part, self.model):
                return None
            configs.append(config)
        layers, style_dim = configs[1].inputs[0].dims
        most = min(config.max_batch_size for config in configs)
        return Parts(names["mapping"], names["synthesis"], (layers, style_dim), most)

    def stream(self, requests: Iterable[Request], no_batching: bool) -> Iterator[NDArray[Any]]:
        """What is made of every row of every request, in order, while the next few are on their way."""
        pipeline = RequestPipeline(self._client, self.version, self._budget, self._in_flight, no_batching)
        try:
            yield from pipeline.stream(requests)
        except ServerUnavailable as error:
            raise type(error)(at(self.url, error)) from None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _find(self) -> tuple[str, ModelConfig]:
        """The newest version of the model that is ready, and its configuration."""
        version = self._newest()
        while True:
            try:
                answer = self._client.get_model_config(self.model, version, client_timeout=CONTROL_SECONDS)
                return version, from_message(answer.config)
            except InferenceServerException as error:
                gone, version = version, self._newest()
                if version == gone:  # and so it was not taken back between the two questions
                    raise self._why_not_found(error) from None

    def _newest(self) -> str:
        try:
            metadata = self._client.get_model_metadata(self.model, client_timeout=CONTROL_SECONDS)
        except InferenceServerException as error:
            raise self._why_not_found(error) from None
        newest: str = max(metadata.versions, key=int)
        return newest

    def _why_not_found(self, error: InferenceServerException) -> ServingError:
        ours = translated(error, self.model)
        if isinstance(ours, ServerUnavailable):
            return ServerUnavailable(at(self.url, ours))
        if isinstance(ours, (ModelNotFound, RequestRefused)):
            return ModelNotFound(
                f"the server at {self.url} has no model '{self.model}': 'models' lists those of a repository"
            )
        return ours

    def _config(self, model: str) -> ModelConfig | None:
        try:
            answer = self._client.get_model_config(model, self.version, client_timeout=CONTROL_SECONDS)
            return from_message(answer.config)
        except InferenceServerException as error:
            ours = translated(error, model)
        if isinstance(ours, (ModelNotFound, RequestRefused)):
            return None
        raise ServerUnavailable(at(self.url, ours)) if isinstance(ours, ServerUnavailable) else ours


def _spec_of(model: str, config: ModelConfig) -> GeneratorSpec:
    if SPEC not in config.parameters:
        raise ServingError(f"'{model}' is not a generator that 'publish' wrote: its configuration has no spec")
    try:
        spec = GeneratorSpec.from_json(config.parameters[SPEC])
    except SpecError as error:
        raise ServingError(f"the configuration of '{model}' is wrong ({error}): publish it again") from None
    if part := config.parameters.get(PART):
        whole = config.parameters.get(WHOLE, "")
        raise ServingError(f"'{model}' is the {part} of '{whole}': ask for '{whole}' itself")
    return spec
