"""What a model is held against, by hand: how far is too far, and which files are no reference."""

import io

import numpy as np
import pytest
from PIL import Image

from core.errors import BundleError
from serving.repository.golden import Reference, images_in

LATENTS = {"z": np.arange(6, dtype=np.float32).reshape(3, 2)}
IMAGES = np.random.RandomState(0).randint(10, 200, (3, 4, 5, 3), np.uint8)
STYLES = np.array([[1, -2], [4, 3], [0, 0]], np.float32)
OF_IMAGES = Reference(LATENTS, "image", IMAGES)
OF_STYLES = Reference(LATENTS, "w", STYLES)


def packed(*images):
    """PNG files as a model gives them, ``(n, 1)``."""
    files = np.empty((len(images), 1), object)
    for row, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        files[row, 0] = buffer.getvalue()
    return files


def test_images_may_be_a_level_off_and_no_more():
    assert len(OF_IMAGES) == 3
    assert OF_IMAGES.difference(IMAGES) == ""
    for apart, says in ((1, ""), (2, "2 levels off")):
        other = IMAGES.copy()
        other[2, 0, 0, 0] += apart
        assert OF_IMAGES.difference(other) == says
    assert OF_IMAGES.difference(IMAGES[:, :3]) == "256 levels off"


def test_rows_are_held_against_those_from_the_first_on():
    assert OF_IMAGES.difference(IMAGES[1:], 1) == ""
    assert OF_IMAGES.difference(IMAGES[1:2], 1) == ""
    assert OF_IMAGES.difference(IMAGES[1:]) != ""
    assert OF_STYLES.difference(STYLES[2:], 2) == ""


def test_styles_may_be_a_thousandth_of_the_largest_off():
    """4 is the largest: 0.0039 is as good as none, 0.0041 is too much."""
    for apart, says in ((0.0039, ""), (-0.0039, ""), (0.0041, "0.10% off"), (-0.4, "10.00% off")):
        other = STYLES.copy()
        other[2, 1] += np.float32(apart)
        assert OF_STYLES.difference(other) == says
    other[0, 0] = np.nan
    assert OF_STYLES.difference(other) == "nan% off"


def test_styles_of_which_the_largest_is_negative():
    reference = Reference(LATENTS, "w", -np.abs(STYLES))
    assert reference.difference(-np.abs(STYLES) * np.float32(1.0009)) == ""
    assert reference.difference(-np.abs(STYLES) * np.float32(1.01)) == "1.00% off"


def test_styles_that_are_all_0():
    nothing = Reference(LATENTS, "w", np.zeros((3, 2), np.float32))
    assert nothing.difference(np.zeros((3, 2), np.float32)) == ""
    assert nothing.difference(np.full((3, 2), 1e-6, np.float32)).endswith("% off")


def test_no_rows_are_no_difference():
    for reference in (OF_IMAGES, OF_STYLES):
        assert reference.difference(reference.values[:0]) == ""


def test_styles_of_another_shape_or_type():
    assert OF_STYLES.difference(STYLES[:, :1]) == "float32 (3, 1) instead of float32 (3, 2)"
    assert OF_STYLES.difference(STYLES.astype(np.float64)) == "float64 (3, 2) instead of float32 (3, 2)"


def test_files_are_as_far_apart_as_the_images_in_them():
    reference = Reference(LATENTS, "png", IMAGES)
    assert reference.difference(packed(*IMAGES)) == ""
    assert reference.difference(packed(*IMAGES[1:]), 1) == ""
    assert reference.difference(packed(IMAGES[0], IMAGES[1], IMAGES[2] ^ 4)) == "4 levels off"


def test_images_in_files():
    found = images_in(packed(*IMAGES), 3)
    assert found.dtype == np.uint8
    assert np.array_equal(found, IMAGES)
    grey = IMAGES[:, :, :, 0]  # as Pillow has it, without a last axis
    assert np.array_equal(images_in(packed(*grey), 1), grey[..., None])
    assert np.array_equal(images_in(packed(*grey), 3), np.repeat(grey[..., None], 3, axis=-1))
    assert images_in(packed(IMAGES[0], IMAGES[1][:2]), 3).shape == (0, 0, 0, 3)
    assert images_in(np.array([[b"no file"]], object), 4).shape == (0, 0, 0, 4)
    assert images_in(np.empty((0, 1), object), 1).shape == (0, 0, 0, 1)
    assert images_in(np.empty((2, 0), object), 1).shape == (0, 0, 0, 1)
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[0]).save(buffer, "BMP")
    assert len(images_in(np.array([[buffer.getvalue()]], object), 3)) == 0


@pytest.mark.parametrize(("output", "kept_as"), [("image", "image"), ("png", "image"), ("w", "w"), ("z", "z")])
def test_a_reference_comes_back_from_its_file(tmp_path, output, kept_as):
    reference = Reference(LATENTS, output, IMAGES if kept_as == "image" else STYLES)
    path = tmp_path / "golden.npz"
    path.write_bytes(reference.to_bytes())
    with np.load(path) as arrays:
        assert set(arrays.files) == {"input_z", kept_as}
    found = Reference.read(path, output)
    assert found.output == output
    assert list(found.inputs) == ["z"]
    assert np.array_equal(found.inputs["z"], LATENTS["z"])
    assert np.array_equal(found.values, reference.values)
    assert found.values.dtype == reference.values.dtype


def test_images_are_what_is_read_unless_told(tmp_path):
    (tmp_path / "golden.npz").write_bytes(OF_IMAGES.to_bytes())
    assert Reference.read(tmp_path / "golden.npz").output == "image"


@pytest.mark.parametrize(
    ("inputs", "values"),
    [
        (LATENTS, STYLES.astype(np.float64)),
        (LATENTS, STYLES[:, 0]),
        (LATENTS, STYLES[:2]),
        ({"z": LATENTS["z"][:0]}, STYLES[:0]),
        ({}, STYLES),
        ({**LATENTS, "truncation": np.ones((2, 1), np.float32)}, STYLES),
    ],
)
def test_styles_that_are_no_reference(tmp_path, inputs, values):
    path = tmp_path / "golden.npz"
    path.write_bytes(Reference(inputs, "w", values).to_bytes())
    with pytest.raises(BundleError, match="a golden w of the wrong shape"):
        Reference.read(path, "w")


def test_a_file_without_styles(tmp_path):
    path = tmp_path / "golden.npz"
    path.write_bytes(OF_IMAGES.to_bytes())
    with pytest.raises(BundleError, match="holds no golden w"):
        Reference.read(path, "w")
