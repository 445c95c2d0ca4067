"""What a version of a generator becomes on a server: a model, its parts beside it, and those for thin clients."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.bundle import GOLDEN, MANIFEST
from core.errors import SpecError
from core.spec import GeneratorSpec
from serving.protocol.model_config import (
    BUNDLE,
    NO_LIMITS,
    PART,
    SPEC,
    WHOLE,
    Accelerator,
    ModelConfig,
    Queue,
    part_name,
)
from serving.repository.engines import engines_of
from serving.repository.golden import Reference
from serving.repository.layout import MODEL, THIN
from serving.repository.release import Graph, Release
from serving.repository.thin_clients import BlsModel, bls_models, own_files

LARGEST_BATCH = 64  # unless it is told otherwise
KEPT = 2  # versions that are served: the newest, and the one before, for those who are still at work with it
_LIMITS_BEFORE = (Queue().size, Queue().timeout_us)  # that were written once, and that nobody chose
# TF32 rounds to 10 bits: images would differ from the golden ones by more than a level.
EXACT = Accelerator("cuda", {"use_tf32": "0"})


@dataclass(frozen=True)
class ModelEntry:
    """One model to publish: its configuration, the files of the version, and what it is held against.

    A file is its bytes, or a file to copy. ``engines`` are other configurations, for ``--model-config-name``.
    """

    config: ModelConfig
    files: Mapping[str, bytes | Path]
    golden: Reference
    engines: Mapping[str, ModelConfig] = field(default_factory=dict)


def entries_of(release: Release, name: str, thin: bool, existing: Mapping[str, ModelConfig]) -> list[ModelEntry]:
    """The models that ``release`` becomes as a version of ``name``, in the order in which they may appear.

    The generator itself comes last: a version of a companion that it has not is of no use to anyone, and deleted.
    ``thin`` adds the models for clients that send a seed and nothing else, as does one that is there already.
    ``existing`` ones, by name, keep what was set for them.
    """
    thin = thin or any(part_name(name, part) in existing for part in THIN)
    return list(_entries(release, name, thin, existing))


def _entries(release: Release, name: str, thin: bool, existing: Mapping[str, ModelConfig]) -> Iterator[ModelEntry]:
    facts = {SPEC: release.spec.to_json(), BUNDLE: release.identity}
    most = release.spec.most_at_once(LARGEST_BATCH)

    for part, graph in release.parts.items():
        config = _config(graph, part_name(name, part), facts | {PART: part, WHOLE: name}, most)
        settled = _settled(config, existing)
        yield _graph_entry(graph, settled, release, engines_of(settled, plan=False))

    whole = _settled(_config(release.whole, name, facts, most), existing)
    for model in bls_models(whole, release) if thin else ():
        yield _bls_entry(model, _settled_to_ask(whole, model.config, existing), release, name)

    yield _graph_entry(release.whole, whole, release, engines_of(whole, plan=True))


def _config(graph: Graph, name: str, parameters: Mapping[str, str], most: int) -> ModelConfig:
    return ModelConfig(
        name,
        graph.inputs,
        graph.outputs,
        max_batch_size=most,
        versions=KEPT,
        queue=NO_LIMITS,
        accelerator=EXACT,
        parameters=parameters,
    )


def _settled(config: ModelConfig, existing: Mapping[str, ModelConfig]) -> ModelConfig:
    """The configuration with what was set for this machine before, warmed up at its batches.

    The largest batch is the graph's where either takes one image at a time: then nobody chose it.
    """
    before = existing.get(config.name)
    if before is None or before.steps:  # it was an ensemble, of which nothing is set
        return config.warmed()

    settled = config.set_as(before)
    if settled.queue and (settled.queue.size, settled.queue.timeout_us) == _LIMITS_BEFORE:
        settled = replace(settled, queue=replace(settled.queue, size=NO_LIMITS.size, timeout_us=NO_LIMITS.timeout_us))
    if _one_at_a_time(config) or _one_at_a_time(before):
        settled = replace(settled, max_batch_size=config.max_batch_size)
    return settled.warmed()


def _settled_to_ask(whole: ModelConfig, config: ModelConfig, existing: Mapping[str, ModelConfig]) -> ModelConfig:
    """The same of a model that asks the generator ``whole``.

    It takes batches as large as that, and is not warmed up, for the generator may not be there yet.
    """
    return replace(_settled(config, existing), max_batch_size=whole.max_batch_size, warmup=())


def _one_at_a_time(config: ModelConfig) -> bool:
    """Whether the generator that is configured so takes one image at a time."""
    try:
        return GeneratorSpec.from_json(config.parameters[SPEC]).most_at_once(LARGEST_BATCH) == 1
    except (KeyError, SpecError):
        return False  # a model of others


def _graph_entry(graph: Graph, config: ModelConfig, release: Release, engines: Mapping[str, ModelConfig]) -> ModelEntry:
    files: dict[str, bytes | Path] = {MODEL: graph.path, GOLDEN: graph.golden.to_bytes(), MANIFEST: release.manifest}
    return ModelEntry(config, files, graph.golden, engines)


def _bls_entry(model: BlsModel, config: ModelConfig, release: Release, whole: str) -> ModelEntry:
    files: dict[str, bytes | Path] = {GOLDEN: model.golden.to_bytes(), MANIFEST: release.manifest}
    return ModelEntry(config, files | own_files(release.spec, whole), model.golden)
