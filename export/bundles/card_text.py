"""What the model card says that depends on what a generator takes: latents of seeds, or pictures."""

from dataclasses import dataclass

from core.bundle import GRAPH
from core.contract import NOISE, SOURCE
from core.images import CHANNEL_NAMES, MODES
from core.latents import ALGORITHM
from core.spec import GeneratorSpec, SourceSpec
from core.trials import FAR, PROBED

SHEET_SEEDS = range(64)

_IMPORTS = """import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: some versions of ONNX Runtime report to Microsoft
import numpy as np, onnxruntime
from PIL import Image
"""


@dataclass(frozen=True)
class Usage:
    """Sentences and parts of sentences for the model card.

    - ``makes``: what the generator makes.
    - ``shown``: what the sample sheet shows.
    - ``heading`` and ``how``: how the graph is called, with code, and the heading above that.
    - ``tried`` and ``probed``: on what it was compared with its reference and, in other precisions, with fp32.
    - ``limits``: what nobody should expect of its images.
    """

    makes: str
    shown: str
    heading: str
    how: str
    tried: str
    probed: str
    limits: tuple[str, ...]


def usage_of(spec: GeneratorSpec) -> Usage:
    """What the card of a generator with that ``spec`` says."""
    makes = f"{CHANNEL_NAMES[spec.channels]} images {spec.height} pixels high, {spec.width} wide"

    if spec.source is None:
        return Usage(
            makes=makes,
            shown=_seeds_shown(spec),
            heading="Sampling",
            how=_sampling(spec),
            tried="truncation 1 and 0.5",
            probed=f"{PROBED} seeds (in {FAR} of them a component at 4 σ)",
            limits=(
                "It makes images like those it was trained on, at this size, and inherits what they get wrong or "
                "leave out.",
            ),
        )

    # Of a translator
    taken = f"{CHANNEL_NAMES[spec.source.channels]} pictures {spec.source.height} pixels high, {spec.source.width} wide"
    return Usage(
        makes=f"{makes}, of {taken}",
        shown="Each source beside what it became",
        heading="Translating",
        how=_translating(spec, spec.source),
        tried=f"on the sources in the golden images, mirrored and moved{_whose(spec)}",
        probed=f"{PROBED} pictures ({PROBED - FAR} of them the golden sources, mirrored and moved, the others drawn)",
        limits=(
            "It does to pictures like those it learned from what it learned, at this size: of others it makes "
            "something, and does not say so.",
            "What a source does not show it makes up: that is a guess, not what was there.",
        ),
    )


def _whose(spec: GeneratorSpec) -> str:
    part = spec.provenance.source_examples
    return {"": "", "train": ", which it was trained on: its data held none out"}.get(
        part, ", held out of its training"
    )


def _seeds_shown(spec: GeneratorSpec) -> str:
    if spec.classes:
        return f"A row for each class: {', '.join(spec.classes[: len(SHEET_SEEDS)])}, truncation 1"
    return f"The images of seeds {SHEET_SEEDS[0]} to {SHEET_SEEDS[-1]}, truncation 1"


def _sampling(spec: GeneratorSpec) -> str:
    label = '    "label": np.zeros((1, 1), np.int64),\n' if spec.classes else ""
    codes = f'    "codes": np.zeros((1, {spec.codes}), np.float32),\n' if spec.codes else ""
    noise = f'    "{NOISE}": values[:, {spec.latent_dim}:],\n' if spec.noise else ""
    beside = ", with the noise after the latent in one stream" if spec.noise else ""
    return f"""A seed always means the same latent: `{ALGORITHM}`{beside}.

```python
{_IMPORTS}
seed = 7
values = np.random.RandomState(seed).standard_normal((1, {spec.latent_dim + spec.noise})).astype(np.float32)
session = onnxruntime.InferenceSession("{GRAPH}", providers=["CPUExecutionProvider"])
(images,) = session.run(["image"], {{
    "z": values[:, :{spec.latent_dim}],
    "truncation": np.ones((1, 1), np.float32),
{label}{codes}{noise}}})
Image.fromarray(images[0]{_plane(spec)}).save("seed7.png")
```"""


def _translating(spec: GeneratorSpec, source: SourceSpec) -> str:
    mode = MODES[source.channels]
    return f"""A picture always becomes the same image, alone or in a batch. `ganfoundry translate` takes pictures of
any size and fits them as those it learned from were (fit {source.fit}, resample {source.resample}); by hand:

```python
{_IMPORTS}
picture = Image.open("in.png").convert("{mode}").resize(({source.width}, {source.height}))
pixels = np.asarray(picture, np.uint8).reshape(1, {source.height}, {source.width}, {source.channels})
session = onnxruntime.InferenceSession("{GRAPH}", providers=["CPUExecutionProvider"])
(images,) = session.run(["image"], {{"{SOURCE}": pixels}})
Image.fromarray(images[0]{_plane(spec)}).save("out.png")
```"""


def _plane(spec: GeneratorSpec) -> str:
    return "[:, :, 0]" if spec.channels == 1 else ""
