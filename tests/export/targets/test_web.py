"""The bundle's graph in the browser: ONNX Runtime Web gives the golden images, in Node and in headless Chromium."""

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.bundle import GOLDEN, GRAPH, MANIFEST, write_manifest
from core.contract import OPSET, sample_inputs
from core.difference import MOST_LEVELS, levels_apart
from core.fitting import fit
from core.golden import Golden
from core.images import clear_hidden_colour, to_pillow, with_channels
from core.latents import LAST_SEED, latents
from core.sizes import Size
from core.spec import FITS
from export.graphs.convert import to_onnx
from export.graphs.modules import ExportGraph
from tests.export.conftest import Shipped, family_spec, lively, ship
from tests.serving.translators import make_translator, translated, translator_spec

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "examples" / "web"
TESTS = Path(__file__).parent / "web"
DRAWN = translator_spec(8, 12, 4, times=2)  # what is drawn for in Chromium


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with what the page needs installed as its lock file says."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if not program:
        pytest.skip("no node: install Node.js 20 or newer (Debian: apt-get install nodejs npm)")
    wanted = json.loads((PAGE / "package-lock.json").read_text())["packages"]["node_modules/onnxruntime-web"]["version"]
    there = PAGE / "node_modules" / "onnxruntime-web" / "package.json"
    if not there.exists() or json.loads(there.read_text())["version"] != wanted:
        if not npm:
            pytest.skip("no npm: install it (Debian: apt-get install npm)")
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=PAGE, capture_output=True, text=True, timeout=250)
        if done.returncode:
            pytest.skip(f"npm ci fails in examples/web: {done.stderr.strip().splitlines()[-1:]}")
    return program


def bundle_of(path: Path, shipped: Shipped | None, graph: ExportGraph) -> Path:
    """What the page reads of a bundle: a graph, a manifest, and the images PyTorch makes of seeds 0 to 7."""
    model = shipped.model if shipped else to_onnx(graph)
    spec = graph.generator.spec
    inputs = sample_inputs(spec, range(8))
    path.mkdir()
    (path / GRAPH).write_bytes(model.SerializeToString())
    (path / GOLDEN).write_bytes(Golden(inputs, graph.images(inputs)).to_bytes())
    write_manifest(path, spec=spec, opset=OPSET)
    return path


@pytest.fixture(params=["rgba", "labels and codes", "noise"])
def seeded(request, exported, tmp_path) -> Path:
    """A bundle whose first eight golden rows are seeds 0 to 7 at truncation 1."""
    if request.param == "rgba":
        return exported
    if request.param == "labels and codes":
        shipped = ship("dcgan", "tall RGB")
        return bundle_of(tmp_path / "bundle", shipped, shipped.graph)
    generator = lively(family_spec("style", "grey from 7"))
    generator.spec = replace(generator.spec, noise=generator.noise_dim)
    return bundle_of(tmp_path / "bundle", None, ExportGraph(generator))


def asked(golden: Golden, samples: Sequence[dict[str, object]] = ()) -> str:
    inputs = {
        name: {"type": value.dtype.name, "values": value.flatten().tolist()} for name, value in golden.inputs.items()
    }
    return json.dumps({"count": len(golden), "inputs": inputs, "samples": list(samples)})


def of_seed(golden: Golden, seed: int) -> dict[str, object]:
    """What a person would set for that golden row: not its latent, which follows from the seed."""
    options: dict[str, object] = {"seed": seed, "truncation": 1}
    if "label" in golden.inputs:
        options["label"] = int(golden.inputs["label"][seed, 0])
    if "codes" in golden.inputs:
        options["codes"] = golden.inputs["codes"][seed].tolist()
    return options


def javascript(node: str, *words: object) -> "subprocess.CompletedProcess[str]":
    command = [node, str(TESTS / "node.mjs"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_node_gives_the_golden_images_and_those_of_seeds(node, seeded, tmp_path):
    golden, seeds = Golden.read(seeded / GOLDEN), [0, 5]
    (tmp_path / "asked.json").write_text(asked(golden, [of_seed(golden, seed) for seed in seeds]))
    done = javascript(node, "images", seeded, tmp_path / "asked.json", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    images = np.fromfile(tmp_path / "out", np.uint8).reshape(-1, *golden.images.shape[1:])
    assert levels_apart(images, np.concatenate([golden.images, golden.images[seeds]])) <= MOST_LEVELS
    assert np.ptp(golden.images) > 100


@settings(max_examples=5)
@given(st.lists(st.integers(0, LAST_SEED), min_size=30, max_size=60), st.integers(1, 700))
def test_latents_are_numpys_bit_for_bit(seeds, dim):
    node = shutil.which("node")
    if not node:
        pytest.skip("no node: install Node.js 20 or newer (Debian: apt-get install nodejs npm)")
    seeds = [0, 1, 2**31, LAST_SEED, *seeds]
    code = (
        "const { latents } = await import(process.argv[1]);"
        "process.stdout.write(Buffer.from(latents(process.argv[2].split(',').map(Number), +process.argv[3]).buffer))"
    )
    words = [(PAGE / "latents.js").as_uri(), ",".join(map(str, seeds)), str(dim)]
    command = [node, "--input-type=module", "-e", code, *words]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    found = np.frombuffer(done.stdout, "<f4").reshape(len(seeds), dim)
    assert np.array_equal(found.view(np.int32), latents(seeds, dim).view(np.int32))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_files_hold_the_very_levels(node, tmp_path, channels):
    pixels = np.random.default_rng(channels).integers(0, 256, (5, 7, channels), np.uint8)
    picture = {"pixels": pixels.flatten().tolist(), "width": 7, "height": 5, "channels": channels}
    (tmp_path / "asked.json").write_text(json.dumps(picture))
    javascript(node, "png", tmp_path / "asked.json", tmp_path / "out.png").check_returncode()
    with Image.open(tmp_path / "out.png") as file:
        assert file.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        assert np.array_equal(np.asarray(file).reshape(5, 7, channels), pixels)


def flipped_byte(bundle: Path) -> None:
    data = bytearray((bundle / GRAPH).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / GRAPH).write_bytes(data)


def text_manifest(bundle: Path) -> None:
    (bundle / MANIFEST).write_text("hello")


def other_format(bundle: Path) -> None:
    text = (bundle / MANIFEST).read_text()
    (bundle / MANIFEST).write_text(text.replace('"format_version": 1', '"format_version": 99'))


def other_kind(bundle: Path) -> None:
    shutil.rmtree(bundle)
    make_translator(bundle)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (flipped_byte, "changed or cut short"),
        (text_manifest, "not JSON"),
        (other_format, "format 99"),
        (other_kind, "translates pictures, it makes none of seeds: open it in draw.html"),
    ],
)
def test_what_is_wrong_with_a_bundle_is_said_in_words(node, bundle, tmp_path, spoil, says):
    spoil(bundle)
    (tmp_path / "asked.json").write_text('{"count": 0, "inputs": {}, "samples": [{"seed": 0}]}')
    done = javascript(node, "images", bundle, tmp_path / "asked.json", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("BundleProblem: ")
    assert says in done.stderr


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_node_translates_as_pictures_are_translated_everywhere(node, tmp_path, channels):
    """Any RGBA: hidden colour is none, without alpha a picture lies on white, and grey is luma."""
    taken = {1: [0, 0, 0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    spec = translator_spec(6, 5, channels, times=2, gives=len(taken))
    pictures = np.random.RandomState(0).randint(0, 256, (4, 6, 5, 4), np.uint8)
    pictures[:, ::2, :, 3] = 0
    (tmp_path / "asked.json").write_text(json.dumps({"pictures": [each.flatten().tolist() for each in pictures]}))
    bundle = make_translator(tmp_path / "bundle", spec, taken)
    done = javascript(node, "translations", bundle, tmp_path / "asked.json", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = np.fromfile(tmp_path / "out", np.uint8).reshape(4, 12, 10, 4)
    sources = np.stack([clear_hidden_colour(with_channels(each, False, channels)) for each in pictures])
    expected = translated(sources, spec, taken)
    assert levels_apart(found[..., : len(taken)], expected) <= 1  # of rounding halves over white
    assert channels == 4 or (found[..., 3] == 255).all()


def test_the_drawing_page_fits_pictures_as_data_import_does(node, tmp_path):
    """Of a picture that is one colour, what is fitted shows where it lies; and the margins of others."""
    sizes = [(12, 8), (24, 20), (5, 40), (3, 3), (13, 7), (100, 30), (32, 13), (32, 15)]
    ways = [(way, resample) for way in FITS for resample in ("lanczos", "nearest")]
    asked_of = [(size, (16, 12), *each) for size in sizes for each in ways]
    noise = np.random.RandomState(0).randint(0, 2, (3, 5, 7, 4), np.uint8) * 255
    noise[1:, ..., 3] = 255
    borders = [(each.flatten().tolist(), 7, 5) for each in noise]
    (tmp_path / "asked.json").write_text(json.dumps({"places": asked_of, "borders": borders}))
    done = javascript(node, "fitted", tmp_path / "asked.json", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    places, margins = json.loads((tmp_path / "out").read_text())
    for (size, page, way, resample), (left, top, width, height) in zip(asked_of, places, strict=True):
        found = fit(Image.new("RGB", size, (9, 9, 9)), Size(page[1], page[0], page[1], page[0], 0), way, resample)
        if way == "crop":
            assert min(width - page[0], height - page[1]) == pytest.approx(0)
            assert (2 * left + width, 2 * top + height) == pytest.approx(page)
            assert width * size[1] == pytest.approx(height * size[0])
            continue
        shown = np.zeros(found.shape[:2], bool)
        shown[max(top, 0) : top + height, max(left, 0) : left + width] = True
        assert ((found[..., 3] == 255) == shown).all(), (size, way, resample)
    assert margins[0] is None
    for picture, margin in zip(noise[1:], margins[1:], strict=True):
        whole = fit(to_pillow(picture).convert("RGB"), Size(9, 9, 9, 9, 0), "keep", "nearest")
        assert whole[0, 0].tolist() == [*margin, 0]


class Site(SimpleHTTPRequestHandler):
    """The page, a bundle and the harness under one address; what the harness posts is kept by name."""

    folders: dict[str, Path]
    reports: dict[str, bytes]
    ended: threading.Event

    def translate_path(self, path: str) -> str:
        _, top, *rest = path.split("?")[0].split("/")
        return str(self.folders.get(top, Path("/nonexistent")).joinpath(*rest))

    def do_POST(self) -> None:
        name = self.path.removeprefix("/report/")
        self.reports[name] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        if name == "end":
            self.ended.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def reports(node, exported, tmp_path_factory) -> dict[str, bytes]:
    """What Chromium reported of the golden inputs and of the page, used as a person would."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no chromium: install it (Debian: apt-get install chromium)")
    (tmp_path_factory.getbasetemp() / "golden.json").write_text(asked(Golden.read(exported / GOLDEN)))
    folders = {
        "page": PAGE,
        "translator": make_translator(tmp_path_factory.mktemp("translator") / "it", DRAWN),
        "bundle": exported,
        "golden.json": tmp_path_factory.getbasetemp() / "golden.json",
        "harness.html": TESTS / "harness.html",
    }
    handler = type("Here", (Site,), {"folders": folders, "reports": {}, "ended": threading.Event()})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler)) as server, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/harness.html"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        browser = subprocess.Popen([chromium, *flags, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert handler.ended.wait(200), f"Chromium reported no end, only {sorted(handler.reports)}"
        finally:
            browser.terminate()
            browser.wait(20)
            server.shutdown()
    assert "failure" not in handler.reports, handler.reports["failure"].decode()
    return handler.reports


def opened(png: bytes) -> np.ndarray:
    with Image.open(BytesIO(png)) as picture:
        assert picture.mode == "RGBA"
        return np.asarray(picture)


def test_chromium_gives_the_golden_images(reports, exported):
    golden = Golden.read(exported / GOLDEN)
    images = np.frombuffer(reports["golden"], np.uint8).reshape(golden.images.shape)
    assert levels_apart(images, golden.images) <= MOST_LEVELS


def test_chromium_draws_numpys_latents(reports):
    found = np.frombuffer(reports["latents"], "<i4").reshape(3, 64)
    assert np.array_equal(found, latents([0, 7, LAST_SEED], 64).view(np.int32))


def test_the_page_downloads_what_a_seed_is_everywhere(reports, exported):
    """Golden rows 8 to 15 are seeds 0 to 7 at truncation 0.5; the page was asked for 3 to 6."""
    golden = Golden.read(exported / GOLDEN)
    facts = json.loads(reports["facts"])
    assert (facts["one"], facts["second"], facts["all"]) == ("seed3.png", "seed4.png", "seeds3-6.png")
    for name, seed in (("one.png", 3), ("second.png", 4)):
        assert levels_apart(opened(reports[name])[None], golden.images[8 + seed : 9 + seed]) <= MOST_LEVELS
    sheet = opened(reports["all.png"])
    assert sheet.shape == (2 * 34 - 2, 2 * 34 - 2, 4)
    assert levels_apart(sheet[None, 34:, 34:], golden.images[14:15]) <= MOST_LEVELS
    assert not sheet[32:34].any()


def test_the_page_is_used_by_keyboard_and_says_what_is_wrong(reports):
    facts = json.loads(reports["facts"])
    assert facts["after_arrow"] == "Seed 4"
    assert "dcgan, 32 × 32 RGBA" in facts["about"]
    assert "CC0" in facts["about"]
    assert facts["seed"] == "3" != facts["surprised"]
    assert f"seed={facts['surprised']}" in facts["address"]
    assert "There is no /nowhere/manifest.json" in facts["problem"]


@pytest.mark.parametrize("when", ["line", "picture", "undone"])
def test_what_is_drawn_is_translated(reports, when):
    drawing = np.frombuffer(reports[f"{when}-drawing"], np.uint8).reshape(8, 12, 4)
    result = np.frombuffer(reports[f"{when}-result"], np.uint8).reshape(16, 24, 4)
    difference = result.astype(int) - translated(drawing[None], DRAWN)[0]
    assert np.abs(difference * (result[..., 3:] / 255)).max() <= 1  # canvases keep colour times alpha
    assert (drawing[..., 3].max() > 0) == (when != "undone")
    if when == "line":
        assert drawing[4, 5].tolist() == [255, 128, 0, 255] and not drawing[6:].any()


def test_what_was_translated_is_downloaded_as_it_is(reports):
    drawing = np.frombuffer(reports["line-drawing"], np.uint8).reshape(8, 12, 4)
    assert (opened(reports["translated.png"]) == translated(drawing[None], DRAWN)[0]).all()
    assert not np.frombuffer(reports["empty-result"], np.uint8).any()
    assert reports["draw-problem"].decode() == (
        "This bundle makes pictures of seeds, it translates none: open it in index.html."
    )


def test_the_page_asks_no_other_server():
    for file in [*PAGE.glob("*.js"), *PAGE.glob("*.css"), *PAGE.glob("*.html")]:
        assert "://" not in file.read_text(), file


def test_only_what_the_lock_file_names_is_installed():
    lock = json.loads((PAGE / "package-lock.json").read_text())
    assert lock["packages"][""]["dependencies"] == json.loads((PAGE / "package.json").read_text())["dependencies"]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
