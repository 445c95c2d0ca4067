import json

import numpy as np
import pytest
from PIL import Image

from core.sizes import plan_size
from trainer.data.importing import ImportOptions, import_images

SIZE = plan_size(8, 8)
PLAIN, TURNED, TRIMMED = (np.random.default_rng(seed).integers(1, 256, (8, 8, 4), np.uint8) for seed in range(3))
TRIMMED[:2], TRIMMED[6:], TRIMMED[:, :3] = 0, 0, 0  # 4 rows of 5 are left


def entry(box, rotated=False, trimmed=(0, 0, 8, 8)):
    left, top, width, height = box
    return {
        "frame": {"x": left, "y": top, "w": width, "h": height},
        "rotated": rotated,
        "trimmed": trimmed != (0, 0, 8, 8),
        "spriteSourceSize": dict(zip("xywh", trimmed, strict=True)),
        "sourceSize": {"w": 8, "h": 8},
    }


FRAMES = {
    "cat/plain.png": entry((1, 1, 8, 8)),
    "dog/turned.png": entry((10, 1, 8, 8), rotated=True),
    "dog/trimmed.png": entry((20, 2, 5, 4), trimmed=(3, 2, 5, 4)),
}


@pytest.fixture
def source(tmp_path):
    page = np.zeros((12, 28, 4), np.uint8)
    page[1:9, 1:9] = PLAIN
    page[1:9, 10:18] = np.rot90(TURNED, -1)  # clockwise
    page[2:6, 20:25] = TRIMMED[2:6, 3:8]
    (tmp_path / "in").mkdir()
    Image.fromarray(page).save(tmp_path / "in" / "sheet.png")
    return tmp_path / "in"


def listed(frames):
    return [{"filename": name, **value} for name, value in frames.items()]


FORMS = {
    "hash": {"frames": FRAMES, "meta": {"image": "sheet.png"}},
    "array": {"frames": listed(FRAMES), "meta": {"image": "sheet.png"}},
    "phaser": {"textures": [{"image": "sheet.png", "frames": listed(FRAMES)}]},
    "by its own name": {"frames": FRAMES},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("whole_folder", [True, False])
def test_an_atlas_is_cut_by_its_frames(source, tmp_path, form, whole_folder):
    (source / "sheet.json").write_text(json.dumps(FORMS[form]))
    pack = import_images(source if whole_folder else source / "sheet.png", tmp_path / "pack", ImportOptions(SIZE))
    assert np.array_equal(pack.images, [PLAIN, TURNED, TRIMMED])
    assert pack.info.notes == (("atlases", "1 cut by the frames in their JSON"),)
    assert pack.info.skipped == ()


def test_frames_have_the_classes_of_their_names(source, tmp_path):
    (source / "sheet.json").write_text(json.dumps(FORMS["hash"]))
    pack = import_images(source, tmp_path / "pack", ImportOptions(SIZE, labels="folders"))
    assert [pack.info.classes[label] for label in pack.labels] == ["cat", "dog", "dog"]


def test_a_frame_outside_the_sheet_is_said(source, tmp_path):
    wrong = {**FRAMES, "far": entry((25, 1, 8, 8))}
    (source / "sheet.json").write_text(json.dumps({"frames": wrong}))
    pack = import_images(source, tmp_path / "pack", ImportOptions(SIZE))
    assert len(pack) == 3
    assert pack.info.skipped == (("sheet.png", "its JSON has a frame outside it (far): they do not belong together"),)


@pytest.mark.parametrize("frame", [{"x": 1}, {"x": "a", "y": 1, "w": 1, "h": 1}, {"x": -1, "y": 0, "w": 9, "h": 9}])
def test_malformed_frames_are_one_line(source, tmp_path, frame):
    (source / "sheet.json").write_text(json.dumps({"frames": {"odd": {"frame": frame}}}))
    pack = import_images(source, tmp_path / "pack", ImportOptions(SIZE))
    assert ("sheet.json", "its JSON has a malformed frame (odd)") in pack.info.skipped


def test_other_json_is_no_atlas(source, tmp_path):
    (source / "notes.json").write_text('{"frames": 24}')
    (source / "deep.json").write_text("[" * 100_000)
    assert len(import_images(source, tmp_path / "pack", ImportOptions(SIZE))) == 1
