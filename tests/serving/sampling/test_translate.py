"""Pictures in, pictures out: ``translate`` and ``Translator``, of bundles and through a real Triton, and NAME_png."""

import base64
import io
import json
import os
import re
import urllib.request
from math import ceil
from threading import Event

import numpy as np
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException
from typer.testing import CliRunner

import cli
from core.bundle import GOLDEN
from core.errors import GanfoundryError, RequestRefused
from core.golden import Golden
from core.images import encode_png
from serving import publishing
from serving.client.sampler import Sampler, Translator
from serving.in_triton.models.png import most_bytes, most_text
from serving.protocol import model_config
from serving.protocol.grpc import connect, infer_inputs
from serving.protocol.model_config import PART, WHOLE, Instances, ModelConfig, Tensor
from serving.repository.compatibility import check_fits
from serving.repository.configs import read_config
from serving.repository.golden import PNG, Reference, images_in
from serving.repository.models import entries_of
from serving.repository.release import Release
from serving.repository.seal import sealed_hashes
from serving.repository.thin_clients import FILES, TAKEN_FILES
from serving.sampling.inputs import find_inputs
from serving.server.shared_memory import needed
from serving.tuning.load import golden_requests
from tests.serving.conftest import make_bundle
from tests.serving.translators import SPEC, make_translator, translated, translator_spec

FACTS = {
    "Source": "trained on Größe, CC-BY-SA-4.0",
    "Attribution": "by Zoë",
    "Trained with inputs": "pictures under CC0-1.0",
    "Attribution of inputs": "by Bo",
}


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    """The bundle that ``thin_server`` serves as ``painter``."""
    return make_translator(tmp_path_factory.mktemp("bundles") / "painter")


def pictures(count, seed=0, height=8, width=12):
    found = np.random.RandomState(seed).randint(0, 256, (count, height, width, 4), np.uint8)
    return found * (found[..., 3:] > 0)


def save(picture, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(picture))
    return path


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture
def translate(tmp_path, painter):
    """The command of the bundle; what it says, or the error of ours it ends with. Files go to ``out``."""

    def run(*arguments, model=painter, out="out"):
        words = ["translate", str(model), *map(str, arguments), "--out", str(tmp_path / out)]
        result = CliRunner().invoke(cli.app, words)
        if isinstance(result.exception, GanfoundryError):
            return str(result.exception)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return run


# Translator


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_pictures_come_back_in_order_from_a_bundle_and_a_server(thin_server, painter, batch):
    sources = pictures(20)
    with Translator("painter", thin_server.url, batch=batch) as served, Translator.local(painter, batch=batch) as local:
        assert (served.model, served.version, served.spec, local.spec) == ("painter", "1", SPEC, SPEC)
        for translator in (served, local):
            assert (np.stack([*translator.translate(iter(sources))]) == translated(sources, SPEC)).all()


def test_sizes_may_differ_and_tiles_of_several_pictures_share_requests(thin_server):
    sources = [
        pictures(1, n, height, width)[0] for n, (height, width) in enumerate([(8, 12), (30, 7), (5, 90), (1, 1)])
    ]
    with Translator("painter", thin_server.url, batch=5) as translator:
        for source, result in zip(sources, translator.translate(sources, tile=True), strict=True):
            assert (result == translated(source[None], SPEC)[0]).all()
        assert [each.shape for each in translator.translate(sources)] == [(8, 12, 4), (8, 2, 4), (1, 12, 4), (8, 8, 4)]
        assert {each.shape for each in translator.translate(sources, margins=True)} == {(8, 12, 4)}


def test_who_asks_for_the_other_kind_is_told_whom_to_ask(thin_server, painter, bundle):
    for make in (lambda: Sampler("painter", thin_server.url), lambda: Sampler.local(painter)):
        with pytest.raises(RequestRefused, match="'painter' translates pictures, it makes none of seeds: use 'transl"):
            make()
    for make in (lambda: Translator("tiny", thin_server.url), lambda: Translator.local(bundle)):
        with pytest.raises(RequestRefused, match="'tiny' makes pictures of seeds, it does not translate any: use 'sam"):
            make()


def test_what_is_no_picture_ends_it_after_those_before(painter):
    with Translator.local(painter, batch=1) as translator:
        results = translator.translate([pictures(1)[0], np.zeros((3, 3))])
        assert next(results).shape == (8, 12, 4)
        with pytest.raises(RequestRefused, match="a picture is uint8"):
            next(results)


# NAME_png


def files_of(sources):
    return np.array([[encode_png(source)] for source in sources], np.object_)


def test_a_file_becomes_a_file(thin_server):
    sources = pictures(5)
    with connect(thin_server.url) as client:
        files = client.infer("painter_png", infer_inputs({"png": files_of(sources)})).as_numpy("png")
    assert (images_in(files, 4) == translated(sources, SPEC)).all()
    with Image.open(io.BytesIO(files[0, 0])) as picture:
        assert picture.text == {"Software": picture.text["Software"], "Model": "painter", "Version": "1", **FACTS}


def test_text_becomes_text(thin_server):
    source = pictures(1)[0]
    given = {"name": "base64", "datatype": "BYTES", "shape": [1, 1]}
    given["data"] = [base64.b64encode(encode_png(source)).decode()]
    body = json.dumps({"inputs": [given], "outputs": [{"name": "base64"}]}).encode()
    url = f"http://127.0.0.1:{thin_server.ports.http}/v2/models/painter_png/infer"
    with urllib.request.urlopen(urllib.request.Request(url, body, method="POST")) as answer:
        (output,) = json.load(answer)["outputs"]
    file = base64.b64decode(output["data"][0])
    assert (images_in(np.array([[file]], np.object_), 4) == translated(source[None], SPEC)).all()


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"png": np.array([[b"x"]], np.object_)}, "the file for 'painter' cannot be translated: it is not a PNG file"),
        ({"png": files_of(pictures(1, height=9))}, "the picture is 12x9 pixels, and must be 12x8"),
        ({"base64": np.array([[b"?"]], np.object_)}, "'base64' is not base64"),
        (
            {"base64": np.array([[b"A" * (most_text(8, 12) + 1)]], np.object_)},
            "is more than a picture that 'painter' takes needs",
        ),
        ({"png": np.array([[b"\x89" * (most_bytes(8, 12) + 1)]], np.object_)}, "save it without profiles and texts"),
        ({"png": files_of(pictures(1)), "base64": np.array([[b""]], np.object_)}, "give either 'png'"),
    ],
)
def test_a_file_that_is_wrong_fails_its_request_alone(thin_server, inputs, said):
    """Whatever else is in the batch, all of which is asked for at once."""
    good = pictures(1)
    with connect(thin_server.url) as client:
        wrong = client.infer
        calls: list[dict] = []
        answered: list[Event] = []
        for each in ({"png": files_of(good)}, inputs, {"png": files_of(good)}):
            answer, here = {}, Event()
            calls.append(answer)
            answered.append(here)

            def note(result, error, answer=answer, here=here):
                answer.update(result=result, error=error)
                here.set()

            client.async_infer("painter_png", infer_inputs(each), note)
        with pytest.raises(InferenceServerException, match=said):
            wrong("painter_png", infer_inputs(inputs))
        assert all(each.wait(30) for each in answered)
    assert [bool(answer["error"]) for answer in calls] == [False, True, False]
    for answer in (calls[0], calls[2]):
        assert (images_in(answer["result"].as_numpy("png"), 4) == translated(good, SPEC)).all()


def test_one_file_of_several_is_named(thin_server):
    files = files_of(pictures(3))
    files[1, 0] = files[1, 0][:-3]
    with connect(thin_server.url) as client, pytest.raises(InferenceServerException, match=r"file 2 of 3 .* cut short"):
        client.infer("painter_png", infer_inputs({"png": files}))


# Publishing


def test_a_translator_has_one_door_and_golden_files(painter, tmp_path):
    published = publishing.publish(painter, "painter", tmp_path / "repository", trial=False)
    assert published.companions == ("painter_png",)
    golden = Golden.read(painter / GOLDEN)
    reference = Reference.read(tmp_path / "repository" / "painter_png" / "1" / GOLDEN, PNG)
    assert (images_in(reference.inputs["png"], 4) == golden.inputs["source"]).all()
    assert (reference.values == golden.images).all()
    door = read_config(tmp_path / "repository" / "painter_png")
    assert [(each.name, each.optional) for each in door.inputs] == [("png", True), ("base64", True)]
    assert [each.name for each in door.outputs] == ["png", "base64"]


def test_a_translator_is_rolled_back_with_its_door(painter, tmp_path):
    publishing.publish(painter, "painter", tmp_path / "repository", trial=False)
    publishing.publish(
        make_translator(tmp_path / "other", taken=(0, 1, 2, 3)), "painter", tmp_path / "repository", trial=False
    )
    back = publishing.rollback("painter", tmp_path / "repository", trial=False)
    assert (back.version, back.companions) == (3, ("painter_png",))
    for model in ("painter", "painter_png"):
        first, last = (sealed_hashes(tmp_path / "repository" / model / version) for version in ("1", "3"))
        assert first == last


def test_load_is_offered_in_the_bytes_that_triton_reads(painter):
    """Files are of any length, and their lengths stand before them."""
    entries = {entry.config.name: entry for entry in entries_of(Release.of(painter), "painter", True, {})}
    golden = entries["painter_png"].golden
    for message, file in zip(golden_requests("painter_png", golden).messages, golden.inputs["png"][:, 0], strict=True):
        assert len(file).to_bytes(4, "little") + file in message


@pytest.mark.parametrize("channels", [1, 4])
def test_sources_count_in_shared_memory(channels):
    """In a door a file as text, as large as its reader lets in, then the larger of what is asked and given."""
    whole, door = memory_of(translator_spec(1024, 1024, channels), batch=64)
    assert whole == 1 + 64 * (channels + 4)
    taken = most_bytes(1024, 1024) / 2**20 * 4 / 3
    assert door == 1 + ceil(64 * (taken + max(channels + 4, 2 * 4 * 4 / 3)) - 1e-3)


def memory_of(spec, batch):
    facts = {model_config.SPEC: spec.to_json()}
    source, image = (Tensor(*each) for each in (
        ("source", "UINT8", (1024, 1024, spec.source.channels)), ("image", "UINT8", (1024, 1024, 4))))  # fmt: skip
    whole = ModelConfig("g", (source,), (image,), max_batch_size=batch, parameters=facts)
    more = {**facts, PART: "png", WHOLE: "g"}
    door = ModelConfig("g_png", TAKEN_FILES, FILES, "python", batch, instances=Instances("KIND_CPU"), parameters=more)
    return needed(whole, bundled=True), needed(door, bundled=True)


def test_a_generator_of_seeds_is_no_version_of_a_translator(painter, tmp_path):
    of_seeds = make_bundle(tmp_path / "seeds")
    (whole,) = (entry.config for entry in entries_of(Release.of(painter), "it", False, {}))
    (other,) = (entry.config for entry in entries_of(Release.of(of_seeds), "it", False, {}))
    with pytest.raises(
        GanfoundryError, match="this bundle takes 8 latent values, and 'it' translates RGBA pictures of"
    ):
        check_fits(whole, other)


# The command


def test_names_and_folders_are_kept(translate, tmp_path):
    sources = pictures(3)
    save(sources[0], tmp_path / "in" / "cat.png")
    save(sources[1], tmp_path / "in" / "far" / "Ähm, dog.PNG")
    (tmp_path / "in" / "far" / "flat.bmp").write_bytes(b"")
    Image.fromarray(sources[2][..., :3]).save(tmp_path / "in" / "far" / "flat.bmp")
    save(sources[0], tmp_path / "in" / ".hidden.png")
    assert translate(tmp_path / "in") == f"3 pictures in {tmp_path / 'out'}\n"
    there = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert there == ["cat.png", "far/flat.png", "far/Ähm, dog.png"]
    for source, name in zip(sources, ("cat.png", "far/Ähm, dog.png"), strict=False):
        assert (pixels(tmp_path / "out" / name) == translated(source[None], SPEC)[0]).all()
    with Image.open(tmp_path / "out" / "cat.png") as picture:
        assert picture.text.items() >= {"Model": "painter", "Translated from": "cat.png", **FACTS}.items()


def test_through_a_server_it_is_the_same(thin_server, translate, tmp_path):
    save(pictures(1, height=20)[0], tmp_path / "cat.png")
    translate(tmp_path / "cat.png", "--tile")
    translate(tmp_path / "cat.png", "--tile", "--url", thin_server.url, model="painter", out="served")
    assert (pixels(tmp_path / "served" / "cat.png") == pixels(tmp_path / "out" / "cat.png")).all()
    assert pixels(tmp_path / "out" / "cat.png").shape == (20, 12, 4)


def test_the_sheet_has_each_picture_beside_its_translation(translate, tmp_path):
    sources = pictures(2)
    for name, source in zip("ab", sources, strict=True):
        save(source, tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "c.png").write_bytes(b"damaged")
    sheet = tmp_path / "sheet.png"
    said = translate(tmp_path / "in", "--sheet", sheet, "--no-sheet-labels")
    assert said.startswith(f"2 pictures in {tmp_path / 'out'}, sheet in {sheet}\nskipped {tmp_path / 'in' / 'c.png'}: ")
    page, both = pixels(sheet), np.concatenate([sources, translated(sources, SPEC)], axis=2)
    assert (page[:8, :24] == both[0]).all() and (page[:8, 24:] == both[1]).all() and not page[8:].any()
    assert translate(tmp_path / "in", "--sheet", sheet, "--no-sheet-labels") == said


def test_nothing_that_is_there_is_lost(translate, tmp_path):
    first, second = pictures(2)
    save(first, tmp_path / "in" / "cat.png")
    save(first, tmp_path / "out" / "cat.png")
    assert "Ganfoundry did not make it" in translate(tmp_path / "in", "--overwrite")
    (tmp_path / "out" / "cat.png").unlink()
    translate(tmp_path / "in")
    assert translate(tmp_path / "in") == f"1 pictures in {tmp_path / 'out'}\n"
    save(second, tmp_path / "in" / "cat.png")
    assert "is another picture: choose another --out, or give --overwrite" in translate(tmp_path / "in")
    assert (pixels(tmp_path / "out" / "cat.png") == translated(first[None], SPEC)[0]).all()
    translate(tmp_path / "in", "--overwrite")
    assert (pixels(tmp_path / "out" / "cat.png") == translated(second[None], SPEC)[0]).all()
    assert "is to be translated itself" in translate(tmp_path / "out", "--overwrite")  # though we made it


def test_a_result_may_be_translated_again_and_out_may_lie_in_the_folder(translate, tmp_path):
    source = save(pictures(1)[0], tmp_path / "in" / "cat.png")
    for _ in range(2):
        assert translate(tmp_path / "in", out="in/done").startswith("1 pictures in")
    translate(tmp_path / "in" / "done", out="back")
    assert (pixels(tmp_path / "back" / "cat.png") == pixels(source)).all()


@pytest.mark.parametrize(
    ("given", "out"),
    [
        (("in/**/*.*",), "in/out"),
        (("in/*",), "in/out"),  # the folder itself
        (("in/a.jpg", "in/b.png", "in/out"), "in/out"),  # as a shell writes patterns out
        (("in/a.jpg", "in/b.png", "in/out/a.png", "in/out/sheet.png"), "in/out"),
        (("in/a.jpg",), "in"),
        (("in/*.jpg", "in/a.png"), "in"),
    ],
)
def test_a_command_that_comes_again_does_not_translate_what_it_made(translate, tmp_path, given, out):
    (tmp_path / out).mkdir(parents=True)
    Image.fromarray(pictures(1)[0][..., :3]).save(tmp_path / "in" / "a.jpg")
    if out != "in":
        save(pictures(1, seed=1)[0], tmp_path / "in" / "b.png")
    there = []
    for inputs in (("in/a.jpg", "in/b.png")[: 1 if out == "in" else 2], given, given, ("in",)):
        said = translate(*(tmp_path / each for each in inputs), "--sheet", tmp_path / out / "sheet.png", out=out)
        there.append((said, sorted(path.name for path in (tmp_path / out).iterdir())))
    assert there[1:] == there[:1] * 3


def test_a_picture_of_ours_that_is_no_result_is_translated_wherever_it_lies(tmp_path):
    (tmp_path / "in").mkdir()
    for name, text in (("seed.png", {"Seed": "1"}), ("done.png", {"Translated from": "a.jpg"})):
        (tmp_path / "in" / name).write_bytes(encode_png(pictures(1)[0], {"Software": "Ganfoundry", **text}))
    assert set(results(tmp_path, "in/*.png", out="other")) == {"in/seed.png", "in/done.png"}
    (tmp_path / "in" / "below").mkdir()
    (tmp_path / "in" / "seed.png").rename(tmp_path / "in" / "below" / "seed.png")
    assert results(tmp_path, "in/**/*.png", out="in") == {"in/below/seed.png": "seed.png"}
    assert results(tmp_path, "in/below", out="in") == {"in/below/seed.png": "seed.png"}


def test_damaged_files_are_left_out_or_end_it_before_anything(translate, tmp_path):
    save(pictures(1)[0], tmp_path / "in" / "cat.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    said = translate(tmp_path / "in").splitlines()
    assert said[1:] == [
        f"skipped {tmp_path / 'in' / name}: {why}"
        for name, why in (("bad.png", "empty file"), ("notes.txt", "not an image"), ("pipe.png", "not a file"))
    ]
    assert "bad.png is no picture (empty file)" in translate(tmp_path / "in", "--strict", out="strict")
    assert not (tmp_path / "strict").exists()
    (tmp_path / "in" / "cat.png").unlink()
    assert "nothing was translated: " in translate(tmp_path / "in", out="none")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is not there: give a picture, a folder"),
        (["*.gif"], r"\*.gif is not there"),
        (["empty"], "there is no file to translate in .*empty"),
        (["cat.png", "--tile", "--overlap", "8"], "an overlap of 8 pixels: it must be 0 to 7"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(translate, tmp_path, words, said):
    (tmp_path / "empty").mkdir()
    save(pictures(1)[0], tmp_path / "cat.png")
    found = translate(tmp_path / words[0], *words[1:])
    assert "\n" not in found
    assert re.search(said, found)


# Where results go


def results(tmp_path, *inputs, out="out"):
    """By the names of the inputs those of the results, all below the folder."""
    found = find_inputs([str(tmp_path / each) for each in inputs], tmp_path / out)
    return {
        each.path.relative_to(tmp_path).as_posix(): each.result.relative_to(tmp_path / out).as_posix() for each in found
    }


def touch(tmp_path, *names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()


def test_results_of_one_name_are_called_by_the_whole_names(tmp_path):
    touch(tmp_path, "in/a.png", "in/A.jpg", "in/b.jpg", "in/b/a.png", "in/plain")
    assert results(tmp_path, "in") == {
        "in/A.jpg": "A.jpg.png",
        "in/a.png": "a.png.png",
        "in/b.jpg": "b.png",
        "in/plain": "plain.png",
        "in/b/a.png": "b/a.png",
    }


def test_what_still_has_one_name_is_refused(tmp_path):
    touch(tmp_path, "x/a.png", "y/a.png", "z/A.PNG", "w/b.png/a.png", "w/b.jpg")
    for inputs in (("x/a.png", "y/a.png"), ("x/a.png", "z/A.PNG")):
        with pytest.raises(RequestRefused, match=r"would both become .*: translate them into different folders"):
            results(tmp_path, *inputs)
    with pytest.raises(RequestRefused, match="would be both a picture and the folder of"):
        results(tmp_path, "w")


def test_several_folders_stay_apart_and_no_file_comes_twice(tmp_path):
    touch(tmp_path, "x/a.png", "y/a.png", "c.png")
    given = {"x/a.png": "x/a.png", "y/a.png": "y/a.png", "c.png": "c.png"}
    assert results(tmp_path, "x", "y", "c.png", "x/a.png", "c*") == given
    assert results(tmp_path, "[xy]") == {"x/a.png": "x/a.png", "y/a.png": "y/a.png"}
    (tmp_path / "x" / "again").symlink_to(tmp_path / "x")
    assert results(tmp_path, "x") == {"x/a.png": "a.png"}


def test_no_result_takes_the_place_of_a_file_to_translate(tmp_path):
    touch(tmp_path, "x/a.png", "x/b.jpg")
    with pytest.raises(RequestRefused, match="png is to be translated itself: choose another --out"):
        results(tmp_path, "x", out="x")
    assert results(tmp_path, "x/b.jpg", out="x") == {"x/b.jpg": "b.png"}
