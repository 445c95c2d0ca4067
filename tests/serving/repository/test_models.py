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
from serving.repository.models import KEPT, pieces_of
from serving.repository.release import of_bundle
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
    release, golden = of_bundle(bundle), Golden.read(bundle / GOLDEN)
    (piece,) = pieces_of(release, "tiny", thin=False, existing={})
    assert piece.config == usual("tiny", (Z, TRUNCATION), (IMAGE,), bundle)
    assert piece.engines == engines_of(piece.config, plan=True)
    assert piece.files == {
        "model.onnx": bundle / "generator.onnx",
        "golden.npz": Reference(golden.inputs, "image", golden.images).to_bytes(),
        "manifest.json": bundle / MANIFEST,
    }
    assert piece.golden is release.whole.golden
    assert KEPT == 2


def test_parts_come_before_the_whole_with_no_plan_of_their_own(style_bundle):
    release = of_bundle(style_bundle)
    mapping, synthesis, whole = pieces_of(release, "tiny", thin=False, existing={})
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
    for piece, part in ((mapping, "mapping"), (synthesis, "synthesis")):
        assert piece.engines == engines_of(piece.config, plan=False)
        assert piece.files["model.onnx"] == style_bundle / f"{part}.onnx"
        assert piece.golden is release.parts[part].golden


@pytest.mark.parametrize("styled", [False, True])
def test_the_whole_comes_last(bundle, style_bundle, styled):
    release = of_bundle(style_bundle if styled else bundle)
    found = pieces_of(release, "tiny", thin=True, existing={})
    parts = ["tiny_mapping", "tiny_synthesis"] if styled else []
    assert [piece.config.name for piece in found] == [*parts, "tiny_from_seed", "tiny_png", "tiny"]


def test_doors_have_their_files_and_no_engines(bundle):
    found = {piece.config.name: piece for piece in pieces_of(of_bundle(bundle), "tiny", thin=True, existing={})}
    for part in ("from_seed", "png"):
        piece = found[f"tiny_{part}"]
        assert piece.engines == {}
        assert piece.files[GOLDEN] == piece.golden.to_bytes()
        assert piece.files[MANIFEST] == bundle / MANIFEST
        assert set(piece.files) == {GOLDEN, MANIFEST, "model.py", "door.py", "png.py", "facts.json"}
        assert piece.files["model.py"] == Path(models.__file__).with_name("seeds.py").read_bytes()
        assert piece.files["facts.json"] == to_fill_in(SPEC, "tiny")
        assert piece.config.warmup == ()  # they ask the generator, which may not be there yet


def test_what_was_set_for_this_machine_stays(style_bundle):
    usually = {piece.config.name: piece for piece in pieces_of(of_bundle(style_bundle), "tiny", thin=True, existing={})}
    mine = Instances("KIND_CPU", 5)
    kept = {
        name: replace(piece.config, max_batch_size=9, instances=mine, versions=7, parameters={"of": "the last bundle"})
        for name, piece in usually.items()
    }
    found = pieces_of(of_bundle(style_bundle), "tiny", thin=True, existing=kept)
    for piece in found:
        assert (piece.config.max_batch_size, piece.config.instances) == (9, mine)
        assert piece.config.warmup == (() if piece.config.backend == "python" else (1, 9))
        assert (piece.config.versions, piece.config.parameters) == (2, usually[piece.config.name].config.parameters)


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
    (usually,) = pieces_of(of_bundle(bundle), "tiny", thin=False, existing={})
    before = {"tiny": replace(usually.config, queue=set_before)}
    (piece,) = pieces_of(of_bundle(bundle), "tiny", thin=False, existing=before)
    assert piece.config.queue == kept
