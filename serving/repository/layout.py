"""The Triton model repository: its folders and files, and what they are called.

model_repository/NAME/
  config.pbtxt      rendered from the graph; the same bytes wherever it is made
  configs/          the same model with limits, and on other engines (engines.py)
  1/ 2/ …           model.onnx, golden.npz (checked at every start), manifest.json, SHA256SUMS
  .3.refused/       a version that was taken back, hidden from servers
model_repository/NAME_mapping/, NAME_synthesis/
                    the same for the two parts of a generator that has styles, under the same version numbers
model_repository/NAME_from_seed/, NAME_png/
                    for thin clients (thin_clients.py), under the same version numbers
model_repository/.ganfoundry.lock
                    what publishers and servers lock (locks.py); no model, for it is no directory

``seal.py`` proves that a version is whole, ``versions.py`` says which are there, ``configs.py`` reads how a model is
configured, ``servable.py`` whether Triton could load it all; ``staging.py`` is where a version is made.
"""

import re

from core.bundle import MAPPING, SYNTHESIS
from core.errors import RepositoryError
from serving.protocol.model_config import part_name

CONFIG, CONFIGS = "config.pbtxt", "configs"
MODEL = "model.onnx"
PYTHON_CACHE = "__pycache__"  # which servers leave beside models in Python

# A generator comes with companions: models whose names are its own and one of these.
PARTS = {"mapping": MAPPING, "synthesis": SYNTHESIS}  # its two halves, with what a bundle calls their graphs
THIN = ("from_seed", "png")  # for thin clients, which send a seed or a file and nothing else
RETIRED = ("latents", "encoder")  # what those two needed once, when they were ensembles
COMPANIONS = (*PARTS, *THIN)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def is_name(name: str) -> bool:
    """Whether a model can be called so."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Raise RepositoryError unless ``name`` can be a model's: it becomes a directory, and part of addresses."""
    if not is_name(name):
        raise RepositoryError(
            f"'{name}' cannot name a model: use up to 128 letters, digits, '_', '-' and '.', not first '-' or '.'"
        )


def names_of(generator: str) -> tuple[str, ...]:
    """What the generator and all companions that it may have are called, the generator first."""
    return (generator, *(part_name(generator, part) for part in COMPANIONS))
