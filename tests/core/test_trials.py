"""What graphs are tried with: the probe, what is stretched, golden inputs and those of each truncation, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from core.contract import SOURCE, count_of, sample_inputs
from core.examples import extremes, pictures
from core.spec import GeneratorSpec, SourceSpec
from core.trials import (
    DEVIATIONS,
    FAR,
    PROBED,
    examples_in,
    golden_inputs,
    mixed_inputs,
    probe,
    stretched,
    tried_inputs,
)

SPEC = GeneratorSpec("dcgan", 48, 32, 3, 8, classes=("cat", "dog", "newt"), codes=2)
TAKES = SourceSpec(12, 20, 4)
TRANSLATES = GeneratorSpec("unet", 16, 24, 4, 0, kind="image", source=TAKES)
REAL = np.random.RandomState(0).randint(1, 256, (16, 12, 20, 4)).astype(np.uint8)


def test_the_probe_holds_256_seeds_and_4_sigma_among_them():
    spec = SPEC
    z = probe(spec)["z"]
    assert len(z) == 256
    assert [list(np.flatnonzero(np.abs(row) == DEVIATIONS)) for row in z[-FAR:]] == [[i % 8] for i in range(FAR)]
    assert np.abs(z[:-FAR]).max() < DEVIATIONS
    assert {name: len(value) for name, value in probe(spec).items()} == dict.fromkeys(probe(spec), 256)
    wide = probe(replace(spec, latent_dim=128))["z"][-FAR:]
    assert len({int(np.abs(row).argmax()) for row in wide}) == FAR
    assert stretched(spec)["z"].std() == pytest.approx(4, rel=0.15)


def test_the_probe_by_hand():
    spec = SPEC
    plain = sample_inputs(spec, range(20_000, 20_256))
    found = probe(spec)
    expected = plain["z"].copy()
    for step in range(32):
        expected[224 + step, step % 8] = 4.0 if step % 2 == 0 else -4.0
    assert np.array_equal(found["z"], expected)
    assert all(np.array_equal(found[name], plain[name]) for name in plain if name != "z")
    for wide in (32, 128, 33):
        z = probe(replace(spec, latent_dim=wide))["z"]
        assert [int(np.abs(row).argmax()) for row in z[-32:]] == [step * wide // 32 for step in range(32)]


def test_the_stretched_rows_by_hand():
    spec = replace(SPEC, noise=5)
    plain, found = sample_inputs(spec, range(20_256, 20_288)), stretched(spec)
    assert set(found) == {"z", "truncation", "label", "codes", "noise"}
    for name in ("z", "noise"):
        assert found[name].dtype == np.float32
        assert np.array_equal(found[name], plain[name] * 4)
    for name in ("truncation", "label", "codes"):
        assert np.array_equal(found[name], plain[name])
    assert "noise" not in stretched(SPEC)
    assert (PROBED, FAR, DEVIATIONS) == (256, 32, 4.0)


def test_golden_inputs_are_8_seeds_twice_or_what_travels_with_a_translator():
    golden = golden_inputs(SPEC)
    assert golden["truncation"][:, 0].tolist() == [1.0] * 8 + [0.5] * 8
    assert np.array_equal(golden["z"][:8], golden["z"][8:]) and examples_in(golden) is None
    found = examples_in(golden_inputs(TRANSLATES, REAL))
    assert found is not None and np.array_equal(found, REAL)
    drawn = golden_inputs(TRANSLATES)
    assert list(drawn) == [SOURCE] and np.array_equal(drawn[SOURCE], pictures(TAKES, range(16)))


def test_what_is_tried_at_each_truncation_sees_seeds_of_its_own():
    ways = tried_inputs(SPEC, range(300, 303))
    assert list(ways) == [", truncation 1.0", ", truncation 0.5"]
    for (said, inputs), seed, at in zip(ways.items(), (300, 350), (1.0, 0.5), strict=True):
        expected = sample_inputs(SPEC, range(seed, seed + 3), at)
        assert all(np.array_equal(inputs[name], expected[name]) for name in expected), said
    (alone,) = tried_inputs(TRANSLATES, range(17, 19), REAL).items()
    assert alone[0] == "" and np.array_equal(alone[1][SOURCE], pictures(TAKES, range(17, 19), REAL))
    assert mixed_inputs(SPEC, range(3))["truncation"][:, 0].tolist() == [0, 0.5, 1]
    assert list(mixed_inputs(TRANSLATES, range(3), REAL)) == [SOURCE]


def test_a_translator_is_probed_with_what_it_knows_and_what_it_does_not():
    found = probe(TRANSLATES, REAL)
    assert count_of(found) == PROBED
    assert np.array_equal(found[SOURCE][:-FAR], pictures(TAKES, range(20_000, 20_224), REAL))
    assert np.array_equal(found[SOURCE][-FAR:], pictures(TAKES, range(20_000, 20_032)))


def test_a_stretched_picture_has_the_lowest_and_highest_levels_only():
    found = stretched(TRANSLATES)[SOURCE]
    assert found.shape == (FAR, 12, 20, 4) and set(np.unique(found)) == {0, 255}
    assert all(picture.any() and picture.std(axis=(0, 1)).any() for picture in found)  # none is flat
    assert len(np.unique(found.reshape(FAR, -1), axis=0)) > FAR - 5
    assert not found[found[..., 3] == 0].any()
    assert np.array_equal(extremes(TAKES, 5), found[:5])
