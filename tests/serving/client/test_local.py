"""A bundle without a server, held against the same bundle served by a real Triton."""

import shutil

import numpy as np
import pytest
from PIL import Image

from core.bundle import GRAPH
from core.difference import MOST_LEVELS, levels_apart
from core.errors import BundleError, RequestRefused
from serving.client.sampler import Sampler
from serving.sampling.codes import parse_codes
from serving.sampling.sample import Order, draw, draw_interpolation, draw_mixes

SEEDS = [5, 0, 2**32 - 1, *range(100, 110)]


def images(sampler, *how):
    seeds, pictures = zip(*sampler.sample(SEEDS, *how), strict=True)
    assert list(seeds) == SEEDS
    return np.stack(pictures)


@pytest.mark.parametrize("truncation", [1.0, 0.3])
def test_seeds_are_the_same_images_as_through_triton(bundle, server, truncation):
    with Sampler("tiny", server.url) as served, Sampler.local(bundle) as local:
        assert local.bundle == served.bundle
        assert levels_apart(images(local, truncation), images(served, truncation)) <= MOST_LEVELS


def test_labels_are_the_same_classes_as_through_triton(labelled_bundle, server):
    with Sampler("animals", server.url) as served, Sampler.local(labelled_bundle) as local:
        for label in local.spec.classes:
            assert levels_apart(images(local, 1.0, label), images(served, 1.0, label)) <= MOST_LEVELS
        with pytest.raises(RequestRefused, match="needs a label"):
            local.sample([1])


def test_styles_are_the_same_as_through_triton(style_bundle, style_server):
    with Sampler("styled", style_server.url) as served, Sampler.local(style_bundle) as local:
        assert local.style_shape == served.style_shape
        w = np.stack(list(local.styles(SEEDS, 0.5)))
        np.testing.assert_allclose(w, np.stack(list(served.styles(SEEDS, 0.5))), atol=1e-5)


def texts(path):
    """A PNG's text chunks; a bundle has a name and a version of its own."""
    with Image.open(path) as picture:
        assert {"Model", "Version"} <= set(picture.info)
        return {key: text for key, text in picture.info.items() if key not in ("Model", "Version")}


def test_files_have_the_names_and_text_chunks_of_those_through_triton(bundle, server, tmp_path):
    with Sampler("tiny", server.url) as served, Sampler.local(bundle) as local:
        for name, sampler in {"served": served, "local": local}.items():
            codes = parse_codes((), sampler.spec.codes, sampler.model)
            draw(Order(sampler, tmp_path / name), [1, 2], [0.5, 1.0], codes)
            draw_interpolation(Order(sampler, tmp_path / name / "way"), [1, 2], 3)
    found = {}
    for name in ("served", "local"):
        found[name] = {str(path.relative_to(tmp_path / name)): texts(path) for path in (tmp_path / name).rglob("*.png")}
    assert len(found["local"]) == 7
    assert found["local"] == found["served"]


def test_mixes_need_no_server(style_bundle, tmp_path):
    with Sampler.local(style_bundle) as local:
        said = draw_mixes(Order(local, tmp_path), [3, 9], "0-0")
    assert said.startswith("1 images")


def test_a_changed_bundle_is_refused(bundle, tmp_path):
    copied = shutil.copytree(bundle, tmp_path / "copied")
    (copied / GRAPH).write_bytes((copied / GRAPH).read_bytes() + b"\0")
    with pytest.raises(BundleError, match=GRAPH):
        Sampler.local(copied)
