"""``GeneratorSpec``: everything a program must know about a generator in order to build, feed or serve it."""

import json
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from types import NoneType
from typing import Any

from core.errors import SpecError
from core.sizes import LARGEST_SIDE, Size, plan_size

FORMAT_VERSION = 1
KINDS = ("noise", "image")
FOREIGN = "foreign"
IGNORES_TRUNCATION = "ignores_truncation"  # an option of foreign generators that truncation does nothing to
ONE_AT_A_TIME = "one_at_a_time"  # an option of foreign generators whose graph takes no batch but one image
TOLD_OPTIONS = ("fixed",)  # options that hold words of the user's, by key
CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
FITS = ("pad", "crop", "stretch", "keep")  # how a picture of another size is fitted (core/fitting.py)
RESAMPLINGS = ("lanczos", "area", "nearest")  # and resampled
AUTO = "auto"  # in their place: as suits the picture
THERE, BACK = "sources to images", "images to sources"  # what a translator learned to make of what, in a pack
IMAGES = "images"  # the origin of sources that are the images of a pack
CATEGORY = "category-"  # how classes are called that a generator found by itself: a number from 0 follows
LARGEST_LATENT = 65_536
LARGEST_VALUE = 1e30  # of a value range: float32 still holds the difference of two
LARGEST_NOISE = 1 << 24  # two values for every pixel of the largest image and of all it is doubled from


@dataclass(frozen=True)
class Provenance:
    """Where a generator comes from. Travels with it into checkpoints, bundles and served models."""

    preset: str = ""
    images_seen: int = 0
    data_name: str = ""
    data_fingerprint: str = ""
    data_licence: str = ""
    data_attribution: str = ""
    source_licence: str = ""  # of the pictures that a translator learned from, where they are not the data's
    source_attribution: str = ""
    source_examples: str = ""  # the part of them that those which travel with it are of: held, validation or train
    code_version: str = ""


@dataclass(frozen=True)
class SourceSpec:
    """The pictures that a translator takes: their size in pixels, their channels, and how any picture is fitted to be
    one (core/fitting.py).

    ``origin`` is where they came from in training: ``sources`` those of the pack, ``images`` its images (of the way
    back, in a cycle), or how they were made of its images, such as ``noise 50`` (trainer/objective/corruption.py).
    """

    height: int
    width: int
    channels: int
    fit: str = "pad"
    resample: str = AUTO
    origin: str = "sources"

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise SpecError(f"a source has 1, 3 or 4 channels, not {self.channels}")
        if not (1 <= self.height <= LARGEST_SIDE and 1 <= self.width <= LARGEST_SIDE):
            raise SpecError(f"sources have sides of 1 to {LARGEST_SIDE} pixels, not {self.width}x{self.height}")
        for name, value, known in (("fit", self.fit, FITS), ("resample", self.resample, (*RESAMPLINGS, AUTO))):
            if value not in known:
                raise SpecError(f"the {name} of sources is '{value}': it must be one of {', '.join(known)}")

    @property
    def direction(self) -> str:
        """``THERE``, or ``BACK`` for the way back of a cycle."""
        return BACK if self.origin == IMAGES else THERE


def categories(count: int) -> tuple[str, ...]:
    """What ``count`` classes are called that a generator found by itself."""
    return tuple(f"{CATEGORY}{value}" for value in range(count))


@dataclass(frozen=True)
class GeneratorSpec:
    """What a generator is. Immutable, and the same in a checkpoint, a bundle and a served model.

    ``family`` names the network in ``core.networks.GENERATORS``; ``options`` are that family's own numbers. A generator
    that came as an ONNX file from elsewhere is of the family ``FOREIGN``, which has no network.
    ``value_range`` is what the network's float output means: its ends become 0 and 255. ``noise`` is how many noise
    values a row of the exported graph takes; 0, as in every checkpoint, where the noise is fixed or there is none.
    ``source`` is what a generator of the kind ``image``, a translator, takes in place of a latent.
    RGBA networks work on premultiplied alpha; the exported graph gives straight alpha.
    """

    family: str
    height: int
    width: int
    channels: int
    latent_dim: int
    kind: str = "noise"
    classes: tuple[str, ...] = ()
    codes: int = 0
    noise: int = 0
    source: SourceSpec | None = None
    options: dict[str, Any] = field(default_factory=dict)
    value_range: tuple[float, float] = (-1.0, 1.0)
    provenance: Provenance = field(default_factory=Provenance)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise SpecError(f"the spec has format version {self.format_version}, this code reads {FORMAT_VERSION}")

        # What it takes and gives
        if self.kind not in KINDS:
            raise SpecError(f"the spec's kind is '{self.kind}': it must be one of {', '.join(KINDS)}")
        if self.channels not in CHANNELS:
            raise SpecError(f"a generator makes 1, 3 or 4 channels, not {self.channels}")
        self._check_kind()
        if not 0 <= self.codes <= LARGEST_LATENT:
            raise SpecError(f"codes must be 0 to {LARGEST_LATENT}, not {self.codes}")
        if not 0 <= self.noise <= LARGEST_NOISE:
            raise SpecError(f"noise must be 0 to {LARGEST_NOISE}, not {self.noise}")

        # The images
        low, high = self.value_range
        if not -LARGEST_VALUE <= low < high <= LARGEST_VALUE:
            raise SpecError(f"the value range {low} … {high} is empty or infinite")
        if not (1 <= self.height <= LARGEST_SIDE and 1 <= self.width <= LARGEST_SIDE):
            raise SpecError(f"images have sides of 1 to {LARGEST_SIDE} pixels, not {self.width}x{self.height}")

    def _check_kind(self) -> None:
        """Raise SpecError unless there is what the kind takes, a latent or a source, and not the other."""
        if self.kind == "noise" and self.source is not None:
            raise SpecError("a generator of kind 'noise' has no source: its kind must be 'image'")
        if self.kind == "noise" and not 1 <= self.latent_dim <= LARGEST_LATENT:
            raise SpecError(f"latent_dim must be 1 to {LARGEST_LATENT}, not {self.latent_dim}")
        if self.kind == "image" and self.source is None:
            raise SpecError("a generator of kind 'image' must say what its source is")
        if self.kind == "image" and (self.latent_dim or self.classes or self.codes or self.noise):
            raise SpecError(
                "a generator of kind 'image' takes a source and nothing else: no latent, class, code or noise"
            )

    @property
    def size(self) -> Size:
        """The image size, with the base it is doubled from. Raises SpecError where none is: no network of ours is so.

        Generators from elsewhere make images of any size.
        """
        return plan_size(self.height, self.width)

    @property
    def found_its_classes(self) -> bool:
        """Whether its classes are categories that it found by itself, and not those of the data."""
        return bool(self.classes) and self.classes == categories(len(self.classes))

    def most_at_once(self, usual: int) -> int:
        """How many images its graph makes in a run: ``usual``, unless it takes one at a time."""
        return 1 if self.options.get(ONE_AT_A_TIME) else usual

    def with_provenance(self, **changes: Any) -> "GeneratorSpec":
        """The same generator with some facts of its provenance changed."""
        return replace(self, provenance=replace(self.provenance, **changes))

    def to_json(self, indent: int | None = None) -> str:
        """JSON text from which ``from_json`` makes an equal spec."""
        return json.dumps(asdict(self), indent=indent, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "GeneratorSpec":
        """The spec in ``text``. Raises SpecError for anything but a whole, well-typed spec."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"the spec is not JSON: {error}") from None
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Any) -> "GeneratorSpec":
        """The spec in a decoded JSON object, every field checked."""
        values = _checked(cls, values)
        provenance = Provenance(**_checked(Provenance, values.pop("provenance", {})))

        value_range = values.pop("value_range", (-1.0, 1.0))
        if len(value_range) != 2 or not all(isinstance(end, (int, float)) for end in value_range):
            raise SpecError(f"the spec's value_range must be two numbers, not {value_range!r}")

        source = values.pop("source", None)
        source = None if source is None else SourceSpec(**_checked(SourceSpec, source))
        classes = values.pop("classes", ())
        if not all(isinstance(name, str) for name in classes):
            raise SpecError("the spec's classes must be names")

        low, high = value_range
        return cls(classes=tuple(classes), value_range=(low, high), provenance=provenance, source=source, **values)


# JSON types of every field, for reading text that nobody vouches for.
_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "classes": list,
    "value_range": list,
    "options": dict,
    "provenance": dict,
    "source": (dict, NoneType),
}
_INTEGERS = {"height", "width", "channels", "latent_dim", "codes", "noise", "format_version", "images_seen"}


def _checked(kind: type, values: Any) -> dict[str, Any]:
    """``values`` if it is an object with fields of ``kind`` only, each of the right JSON type."""
    if not isinstance(values, dict):
        raise SpecError(f"the spec must be a JSON object, not {type(values).__name__}")

    known = {f.name: f for f in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SpecError(f"the spec has a field this version does not know: {unknown[0]!r}")

    for name, value in values.items():
        expected = int if name in _INTEGERS else _JSON_TYPES.get(name, str)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise SpecError(f"the spec's {name} is {value!r}, which is not what that field holds")

    required = {name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if missing := sorted(required - set(values)):
        raise SpecError(f"the spec lacks {missing[0]}")
    return dict(values)
