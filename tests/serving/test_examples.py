"""The examples for clients that are not in Python, run against a real server."""

import importlib.util
import io
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import typer
from PIL import Image
from tritonclient.grpc import service_pb2, service_pb2_grpc

import cli
from core.contract import sample_inputs
from core.difference import levels_apart
from core.images import encode_png
from serving.client.sampler import Sampler
from serving.server.launch import free_ports
from tests.serving import translators
from tests.serving.conftest import CLASSES

EXAMPLES = Path(__file__).parents[2] / "examples"

MAIN = """
using System;
using System.IO;

public static class Program
{
    // URL MODEL SEED FILE TRUNCATION LABEL, the last two may be empty
    public static int Main(string[] words)
    {
        try
        {
            var culture = System.Globalization.CultureInfo.InvariantCulture;
            var truncation = words[4] == "" ? (float?)null : float.Parse(words[4], culture);
            var label = words[5] == "" ? null : words[5];
            using (var client = new GanfoundryClient(words[0]))
            {
                var asset = client.AssetAsync(words[1], uint.Parse(words[2]), truncation, label);
                File.WriteAllBytes(words[3], asset.Result);
            }
            return 0;
        }
        catch (AggregateException error)
        {
            Console.Error.WriteLine(error.InnerException.Message);
            return error.InnerException is GanfoundryException ? 1 : 3;
        }
    }
}
"""


def flags(url, truncation, label):
    values = {"--url": url, "--truncation": truncation, "--label": label}
    return [word for flag, value in values.items() if value is not None for word in (flag, str(value))]


def curl(folder):
    needs("curl", "curl")
    return lambda url, model, seed, file, truncation=None, label=None: [
        EXAMPLES / "curl" / "asset.sh",
        *flags(url, truncation, label),
        *(model, str(seed), file),
    ]


def javascript(folder):
    node = needs("node", "nodejs")
    return lambda url, model, seed, file, truncation=None, label=None: [
        *(node, EXAMPLES / "javascript" / "main.mjs", *flags(url, truncation, label), model, str(seed), file)
    ]


def csharp(folder):
    compiler, runtime = needs("mcs", "mono-mcs"), needs("mono", "mono-runtime")
    shutil.copy(EXAMPLES / "csharp" / "GanfoundryClient.cs", folder)
    (folder / "main.cs").write_text(MAIN)
    command = [compiler, "-langversion:6", "-r:System.Net.Http", "-out:main.exe", "GanfoundryClient.cs", "main.cs"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    if "System.Net.Http" in done.stderr and "could not be found" in done.stderr:
        pytest.skip("Mono has no HttpClient: install it (Debian: apt-get install libmono-system-net-http4.0-cil)")
    assert (done.returncode, done.stderr) == (0, "")
    return lambda url, model, seed, file, truncation=None, label=None: [
        *(runtime, folder / "main.exe", url, model, str(seed), file, "" if truncation is None else str(truncation)),
        label or "",
    ]


def needs(program, package):
    found = shutil.which(program)
    if not found:
        pytest.skip(f"no {program}: install it (Debian: apt-get install {package})")
    return found


@pytest.fixture(scope="module", params=[curl, javascript, csharp], ids=lambda each: each.__name__)
def command(request, tmp_path_factory):
    """The command line of one example, for a URL, a model, a seed, a file, and perhaps a truncation and a label."""
    return request.param(tmp_path_factory.mktemp(request.param.__name__))


def run(words):
    return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120)


def url_of(server):
    return f"http://127.0.0.1:{server.ports.http}"


@pytest.mark.parametrize(
    ("model", "seed", "how"),
    [
        ("tiny", 0, {}),
        ("tiny", 2**32 - 1, {"truncation": 0.5}),
        ("animals", 7, {"label": "dog"}),
        ("animals", 8, {"label": "bird", "truncation": 0.25}),
    ],
)
def test_the_file_holds_the_image_of_the_seed(thin_server, command, tmp_path, model, seed, how):
    file = tmp_path / "asset.png"
    done = run(command(url_of(thin_server), model, seed, file, **how))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with Sampler(model, thin_server.url) as sampler:
        ((_, expected),) = sampler.sample([seed], **how)
    with Image.open(io.BytesIO(file.read_bytes()), formats=["PNG"]) as picture:
        assert picture.mode == "RGBA"
        assert levels_apart(np.asarray(picture), expected) <= 1


@pytest.mark.parametrize(
    ("model", "how", "said"),
    [
        ("nobody", {}, "the server has no model 'nobody_png'"),
        ("animals", {"label": "cow"}, "'animals' has no class 'cow': choose cat, dog, bird"),
        ("animals", {"label": 'a"\\b'}, r"""'animals' has no class 'a\\*"\\*b'"""),
        ("animals", {}, "'animals' has classes: give either 'label', a number, or 'class'"),
        ("tiny", {"label": "cat"}, "'tiny_png' takes no 'class': leave it out"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(thin_server, command, tmp_path, model, how, said):
    ends_with_a_line(run(command(url_of(thin_server), model, 7, tmp_path / "asset.png", **how)), said)
    assert not (tmp_path / "asset.png").exists()


def test_a_server_that_is_not_there_is_said_in_a_line(command, tmp_path):
    url = f"http://127.0.0.1:{free_ports().http}"
    ends_with_a_line(
        run(command(url, "tiny", 7, tmp_path / "asset.png")), f"no server answers at {url}: start one with"
    )
    assert not (tmp_path / "asset.png").exists()


def test_something_else_that_answers_is_said_in_a_line(thin_server, command, tmp_path):
    url = f"http://127.0.0.1:{thin_server.ports.metrics}"
    ends_with_a_line(run(command(url, "tiny", 7, tmp_path / "asset.png")), "Method Not Allowed")


@pytest.mark.parametrize(
    "words", [["tiny", "-1", "x"], ["tiny", "seven", "x"], ["tiny"], ["--truncation", "a", "tiny", "7", "x"]]
)
@pytest.mark.parametrize("example", [curl, javascript], ids=lambda each: each.__name__)
def test_words_that_are_none_of_its_own(thin_server, tmp_path, example, words):
    program = example(tmp_path)("", "", "", "")[: 1 if example is curl else 2]
    ends_with_a_line(
        run([*program, "--url", url_of(thin_server), *words]), "usage|not a|seed is outside|Unknown option|argument"
    )


@pytest.mark.parametrize("example", [curl, javascript], ids=lambda each: each.__name__)
def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(thin_server, tmp_path, example):
    program = example(tmp_path)("", "", "", "")[: 1 if example is curl else 2]
    file, asked = tmp_path / "mine.png", ["--url", url_of(thin_server), "tiny", "7"]
    file.write_text("mine")
    ends_with_a_line(run([*program, *asked, file]), "is there: choose another file")
    assert file.read_text() == "mine"
    done = run([*program, "--overwrite", *(["yes"] if example is curl else []), *asked, file])
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_bytes().startswith(b"\x89PNG")


TRANSLATE = {
    "curl": lambda: [EXAMPLES / "curl" / "translate.sh"],
    "javascript": lambda: [needs("node", "nodejs"), EXAMPLES / "javascript" / "translate.mjs"],
    "python": lambda: [sys.executable, EXAMPLES / "python" / "translate.py"],
}


@pytest.fixture(params=TRANSLATE)
def translating(request, tmp_path):
    """The command line of one example, for a URL and more words; ``lines.png`` is a picture for ``painter``."""
    (tmp_path / "lines.png").write_bytes(encode_png(sample_inputs(translators.SPEC, [7])["source"][0]))
    if request.param == "curl":
        needs("curl", "curl")
    return lambda url, *words: run([*TRANSLATE[request.param](), "--url", url, *words])


def test_a_picture_becomes_what_the_translator_makes_of_it(thin_server, translating, tmp_path):
    words, file = ["painter", tmp_path / "lines.png"], tmp_path / "coloured.png"
    done = translating(url_of(thin_server), *words, file)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    expected = translators.translated(sample_inputs(translators.SPEC, [7])["source"], translators.SPEC)
    with Image.open(file) as picture:
        assert (np.asarray(picture) == expected[0]).all()
    ends_with_a_line(translating(url_of(thin_server), *words, file), "coloured.png is there: choose another file")


def test_what_cannot_be_translated_is_said_in_a_line(thin_server, translating, tmp_path):
    url, lines, file = url_of(thin_server), tmp_path / "lines.png", tmp_path / "coloured.png"
    ends_with_a_line(translating(url, "nobody", lines, file), "the server has no model 'nobody_png'")
    ends_with_a_line(translating(url, "painter", tmp_path / "none.png", file), "none.png")
    gone = f"http://127.0.0.1:{free_ports().http}"
    ends_with_a_line(translating(gone, "painter", lines, file), f"no server answers at {gone}: start one with")
    lines.write_bytes(lines.read_bytes()[:-1])
    ends_with_a_line(translating(url, "painter", lines, file), "cannot be translated: the PNG file is cut short")
    assert not file.exists()


GRPC = EXAMPLES / "grpc" / "images.py"


def test_plain_grpc_gives_the_images_of_the_seeds(thin_server, tmp_path):
    words = [
        sys.executable,
        GRPC,
        "--url",
        thin_server.url,
        "--truncation",
        0.5,
        "--label",
        1,
        "animals",
        5,
        3,
        tmp_path,
    ]
    assert run(words).stderr == ""
    with Sampler("animals", thin_server.url) as sampler:
        for seed, expected in sampler.sample(range(5, 8), truncation=0.5, label=CLASSES[1]):
            with Image.open(tmp_path / f"{seed:010d}.png") as picture:
                assert levels_apart(np.asarray(picture), expected) <= 1
    ends_with_a_line(run(words), r"0000000005\.png: File exists")
    ends_with_a_line(
        run([sys.executable, GRPC, "--url", thin_server.url, "nobody", 0, 1, tmp_path]), "nobody_from_seed"
    )


def test_plain_grpc_takes_answers_of_more_than_four_mebibytes():
    """Eight images of 512x512 with alpha, which a channel without its options refuses."""
    made = np.arange(8 * 512 * 512 * 4, dtype=np.uint8).reshape(8, 512, 512, 4)

    class Answering(service_pb2_grpc.GRPCInferenceServiceServicer):
        def ModelInfer(self, request, context):
            answer = service_pb2.ModelInferResponse(raw_output_contents=[made.tobytes()])
            answer.outputs.add(name="image", datatype="UINT8", shape=made.shape)
            return answer

    example = load(GRPC)
    server = grpc.server(ThreadPoolExecutor(1), options=example.OPTIONS)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Answering(), server)
    url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        assert (example.images(url, "large", range(8)) == made).all()
        example.OPTIONS.clear()
        with pytest.raises(grpc.RpcError, match="larger than max"):
            example.images(url, "large", range(8))
    finally:
        server.stop(None)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


UNIT = EXAMPLES / "systemd" / "ganfoundry.service"


def test_systemd_reads_the_unit_and_finds_it_closed(tmp_path):
    analyse = needs("systemd-analyze", "systemd")
    program = "/opt/ganfoundry/.venv/bin/ganfoundry"
    text = UNIT.read_text().replace("#LoadCredential", "LoadCredential")
    assert text.count(f"\nExecStart={program} serve ") == 1
    (tmp_path / UNIT.name).write_text(text.replace(f"\nExecStart={program}", f"\nExecStart={sys.executable}"))
    done = run([analyse, "verify", "--man=no", tmp_path / UNIT.name])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    closed = run([analyse, "security", "--offline=true", "--threshold=33", tmp_path / UNIT.name])
    assert closed.returncode == 0, closed.stdout


def test_the_units_command_lines_are_ours():
    lines = re.findall(r"^#?ExecStart=(\S+) (.+)", UNIT.read_text(), re.MULTILINE)
    assert len(lines) == 2
    for program, words in lines:
        assert program.endswith("/ganfoundry")
        with typer.main.get_command(cli.app).commands["serve"].make_context("serve", words.split()[1:]) as context:
            assert context.params["repository"] == Path("/srv/ganfoundry/model_repository")


def ends_with_a_line(done, said):
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(rf"[^\n]*({said})[^\n]*\n", done.stderr), done.stderr
