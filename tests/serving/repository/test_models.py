"""What a bundle becomes on a server, model by model, without a server."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.bundle import GOLDEN, MANIFEST
from core.files import sha256
from core.golden import Golden
from serving.in_triton import models
from serving.protocol.model_config import Accelerator, Instances, ModelConfig, Queue, Tensor
from serving.protocol.picture_texts import to_fill_in
from serving.repository.engines import engines_of
from serving.repository.golden import Reference
from serving.repository.models import KEPT, entries_of
from serving.repository.release import Release
from tests.serving.conftest import LAYERS, SPEC, STYLE_DIM

EXACT = Accelerator("cuda", {"use_tf32": "0"})
Z, TRUNCATION = Tensor("z", "FP32", (8,)), Tensor("truncation", "FP32", (1,))
STYLES, IMAGE = Tensor("w", "FP32", (LAYERS, STYLE_DIM)), Tensor("image", "UINT8", (8, 12, 4))


def usual(name, inputs, outputs, bundle, **parameters):
    """What stands in a configuration that nobody has changed."""
    return ModelConfig(
        name,
        inputs,
        outputs,
        backend="onnxruntime",
        max_batch_size=64,
        queue=Queue(delay_us=0, size=0, timeout_us=0),
        instances=Instances("KIND_AUTO", 1),
        warmup=(1, 64),
        versions=2,
        accelerator=EXACT,
        parameters={
            "ganfoundry_spec": SPEC.to_json(),
            "ganfoundry_bundle_sha256": sha256(bundle / MANIFEST),
            **parameters,
        },
    )


def test_figures_that_users_meet():
    assert KEPT == 2


def test_a_generator_is_one_model_with_every_engine(bundle):
    release, golden = Release.of(bundle), Golden.read(bundle / GOLDEN)
    (entry,) = entries_of(release, "tiny", thin=False, existing={})
    assert entry.config == usual("tiny", (Z, TRUNCATION), (IMAGE,), bundle)
    assert entry.engines == engines_of(entry.config, plan=True)
    assert entry.files == {
        "model.onnx": bundle / "generator.onnx",
        "golden.npz": Reference(golden.inputs, "image", golden.images).to_bytes(),
        "manifest.json": bundle / MANIFEST,
    }
    assert entry.golden is release.whole.golden
    assert KEPT == 2


def test_parts_come_before_the_whole_with_no_plan_of_their_own(style_bundle):
    release = Release.of(style_bundle)
    mapping, synthesis, whole = entries_of(release, "tiny", thin=False, existing={})
    assert mapping.config == usual(
        "tiny_mapping",
        (Z, TRUNCATION),
        (STYLES,),
        style_bundle,
        ganfoundry_part="mapping",
        ganfoundry_part_of="tiny",
    )
    assert synthesis.config == usual(
        "tiny_synthesis",
        (STYLES,),
        (IMAGE,),
        style_bundle,
        ganfoundry_part="synthesis",
        ganfoundry_part_of="tiny",
    )
    assert whole.config == usual("tiny", (Z, TRUNCATION), (IMAGE,), style_bundle)
    for entry, part in ((mapping, "mapping"), (synthesis, "synthesis")):
        assert entry.engines == engines_of(entry.config, plan=False)
        assert entry.files["model.onnx"] == style_bundle / f"{part}.onnx"
        assert entry.golden is release.parts[part].golden


@pytest.mark.parametrize("styled", [False, True])
def test_the_whole_comes_last(bundle, style_bundle, styled):
    release = Release.of(style_bundle if styled else bundle)
    found = entries_of(release, "tiny", thin=True, existing={})
    parts = ["tiny_mapping", "tiny_synthesis"] if styled else []
    assert [entry.config.name for entry in found] == [*parts, "tiny_from_seed", "tiny_png", "tiny"]


def test_doors_have_their_files_and_no_engines(bundle):
    found = {entry.config.name: entry for entry in entries_of(Release.of(bundle), "tiny", thin=True, existing={})}
    for part in ("from_seed", "png"):
        entry = found[f"tiny_{part}"]
        assert entry.engines == {}
        assert entry.files[GOLDEN] == entry.golden.to_bytes()
        assert entry.files[MANIFEST] == bundle / MANIFEST
        assert set(entry.files) == {GOLDEN, MANIFEST, "model.py", "door.py", "png.py", "facts.json"}
        assert entry.files["model.py"] == Path(models.__file__).with_name("seeds.py").read_bytes()
        assert entry.files["facts.json"] == to_fill_in(SPEC, "tiny")
        assert entry.config.warmup == ()  # they ask the generator, which may not be there yet


def test_what_was_set_for_this_machine_stays(style_bundle):
    usually = {
        entry.config.name: entry for entry in entries_of(Release.of(style_bundle), "tiny", thin=True, existing={})
    }
    mine = Instances("KIND_CPU", 5)
    kept = {
        name: replace(entry.config, max_batch_size=9, instances=mine, versions=7, parameters={"of": "the last bundle"})
        for name, entry in usually.items()
    }
    found = entries_of(Release.of(style_bundle), "tiny", thin=True, existing=kept)
    for entry in found:
        assert (entry.config.max_batch_size, entry.config.instances) == (9, mine)
        assert entry.config.warmup == (() if entry.config.backend == "python" else (1, 9))
        assert (entry.config.versions, entry.config.parameters) == (2, usually[entry.config.name].config.parameters)


@pytest.mark.parametrize(
    ("set_before", "kept"),
    [
        (Queue(77, 128, 10_000_000, (8,)), Queue(77, 0, 0, (8,))),
        (Queue(0, 128, 0), Queue(0, 128, 0)),
        (Queue(0, 99, 10_000_000), Queue(0, 99, 10_000_000)),
        (None, None),
    ],
)
def test_limits_that_nobody_chose_go_and_others_stay(bundle, set_before, kept):
    """Every queue had them once, and requests were found late."""
    (usually,) = entries_of(Release.of(bundle), "tiny", thin=False, existing={})
    before = {"tiny": replace(usually.config, queue=set_before)}
    (entry,) = entries_of(Release.of(bundle), "tiny", thin=False, existing=before)
    assert entry.config.queue == kept
