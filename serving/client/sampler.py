"""``Sampler``: seeds to images. Beside it ``Translator``: pictures to pictures. Both as session.py has it."""

import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.contract import NOISE, latent_inputs
from core.errors import RequestRefused
from core.images import Images
from core.latents import latents
from serving.client.session import Inputs, Session, chunked
from serving.client.styles import as_float32, check_rows, refusal
from serving.client.translator import Translator as Translator
from serving.protocol.requests import Parts


class Sampler(Session):
    """Seeds to images; what else it takes, and raises, is that of a ``Session``."""

    kind = "noise"

    def sample(
        self,
        seeds: Iterable[int],
        truncation: float = 1.0,
        label: str | None = None,
        codes: NDArray[np.float32] | None = None,
    ) -> Iterator[tuple[int, Images]]:
        """Each seed with its image, uint8 ``(height, width, channels)``, in the order of ``seeds``.

        Any number of seeds in bounded memory; ``codes`` ``(K,)`` are the same for all, 0 unless given. Raises
        RequestRefused for a truncation, label, code or seed that cannot be, ServerUnavailable when the server goes
        away, after every image that was complete before.
        """
        chunks, mine = self._chunks_of(seeds, truncation, label, codes=codes)
        return zip(mine, self._stream(chunks, self.model), strict=True)

    def sample_latents(
        self,
        z: NDArray[np.float32],
        truncation: float = 1.0,
        label: str | None = None,
        noise: NDArray[np.float32] | None = None,
    ) -> Iterator[Images]:
        """The image of each row of ``z``, float32 ``(n, latent_dim)``. Raises as ``sample`` does.

        ``noise`` is ``(n, spec.noise)``, for models that take it; 0, which is none, unless given.
        """
        constant = self._constant_inputs(truncation, label)
        z = check_rows(self.model, "latents", z, (self.spec.latent_dim,))
        return self._stream(_in_chunks({"z": z} | self._noise(noise, len(z)), self.batch, constant), self.model)

    @property
    def style_shape(self) -> tuple[int, int] | None:
        """Layers and style dimension of the model's styles, as its source has them; None where there are none."""
        return self._parts.shape if self._parts else None

    def styles(
        self, seeds: Iterable[int], truncation: float = 1.0, label: str | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """The styles of each seed, truncated: float32 ``(layers, style_dim)``, every layer's the same.

        What is done to them before ``sample_styles`` mixes, moves or edits images (Karras et al. 2019, section 3).
        Raises RequestRefused for a model without styles, otherwise as ``sample`` does.
        """
        parts = self._parts_or_refused()
        chunks, _ = self._chunks_of(seeds, truncation, label, parts.max_batch)
        without_noise = ({name: chunk[name] for name in chunk if name != NOISE} for chunk in chunks)
        return self._stream(without_noise, parts.mapping, "w")

    def sample_styles(self, w: NDArray[np.float32], noise: NDArray[np.float32] | None = None) -> Iterator[Images]:
        """The image of each row of ``w``, float32 ``(n, layers, style_dim)``. Raises as ``styles`` does.

        ``noise`` is as ``sample_latents`` takes it.
        """
        parts = self._parts_or_refused()
        w = check_rows(self.model, "styles", w, parts.shape)
        most = min(self.batch, parts.max_batch)
        return self._stream(_in_chunks({"w": w} | self._noise(noise, len(w)), most, {}), parts.synthesis)

    @cached_property
    def _parts(self) -> Parts | None:
        return self._source.parts()

    def _parts_or_refused(self) -> Parts:
        if self._parts is None:
            raise refusal(self.model, self.version)
        return self._parts

    def _chunks_of(
        self,
        seeds: Iterable[int],
        truncation: float,
        label: str | None,
        most: int | None = None,
        codes: NDArray[np.float32] | None = None,
    ) -> tuple[Iterator[Inputs], Iterator[int]]:
        """The inputs of the seeds, a request at a time, and the seeds once more."""
        constant = self._constant_inputs(truncation, label, codes)
        if isinstance(seeds, Sequence) and seeds:
            latents([min(seeds), max(seeds)], 1)  # refuses seeds out of range before anything is asked
        mine, theirs = itertools.tee(seeds)
        chunks = chunked(theirs, min(self.batch, most or self.batch))
        return (_with(constant, latent_inputs(self.spec, chunk)) for chunk in chunks), mine

    def _noise(self, noise: NDArray[np.float32] | None, count: int) -> Inputs:
        """The noise as an input of ``count`` rows, where the model takes it."""
        shape = (self.spec.noise,)
        if not self.spec.noise and noise is None:
            return {}
        noise = check_rows(self.model, "noise values", np.zeros((count, *shape)) if noise is None else noise, shape)
        if not self.spec.noise or len(noise) != count:
            raise RequestRefused(f"the noise has {len(noise)} rows of {shape[0]} values for {count} images: give none")
        return {NOISE: noise}

    def _constant_inputs(
        self, truncation: float, label: str | None, codes: NDArray[np.float32] | None = None
    ) -> Inputs:
        """The inputs that are the same for every image, each ``(1, k)``."""
        value = as_float32(truncation)
        if not np.isfinite(value):
            raise RequestRefused(f"the truncation is {truncation}: it must be a finite number, 1 for none")
        inputs: Inputs = {"truncation": value.reshape(1, 1)}

        if self.spec.classes:
            inputs["label"] = np.full((1, 1), self._class_number(label), np.int64)
        elif label is not None:
            raise RequestRefused(f"'{self.model}' has no classes: leave the label out")

        if self.spec.codes:
            given = np.zeros(self.spec.codes) if codes is None else codes
            inputs["codes"] = check_rows(self.model, "codes", np.asarray(given)[None], (self.spec.codes,))
        elif codes is not None and len(codes):
            raise RequestRefused(f"'{self.model}' has no codes: leave them out")
        return inputs

    def _class_number(self, label: str | None) -> int:
        classes = self.spec.classes
        if label in classes:
            return classes.index(label)
        asked = "needs a label" if label is None else f"has no class '{label}'"
        raise RequestRefused(f"'{self.model}' {asked}: choose {_choice(label or '', classes)}")


def _with(constant: Inputs, rows: Inputs) -> Inputs:
    """The inputs of a request: its rows, and for each of them what is the same for all."""
    count = len(next(iter(rows.values())))
    return rows | {name: np.repeat(value, count, axis=0) for name, value in constant.items()}


def _in_chunks(rows: Inputs, most: int, constant: Inputs) -> Iterator[Inputs]:
    """Requests of at most ``most`` rows."""
    count = len(next(iter(rows.values())))
    for i in range(0, count, most):
        yield _with(constant, {name: values[i : i + most] for name, values in rows.items()})


def _choice(asked: str, names: Sequence[str]) -> str:
    """The names there are, at most a dozen, the one nearest to what was asked first."""
    if not names:
        return "none"
    near = difflib.get_close_matches(asked, names, 1)
    rest = [name for name in names if name not in near][:12]
    meant = f"{near[0]} (is that the one?)" if near else ""
    return ", ".join(filter(None, [meant, *rest]))
