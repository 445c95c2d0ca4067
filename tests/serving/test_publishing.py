import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from core.bundle import GOLDEN, GRAPH, MANIFEST, write_manifest
from core.errors import BundleError, RepositoryError
from core.files import sha256
from core.golden import Golden
from core.latents import ALGORITHM
from core.spec import GeneratorSpec
from serving.protocol.model_config import BUNDLE, SPEC, Instances, Queue, Tensor
from serving.repository.configs import read_config
from serving.repository.layout import CONFIG, CONFIGS
from serving.repository.locks import LOCK
from serving.repository.servable import check_servable
from serving.repository.versions import list_models
from tests.serving import conftest
from tests.serving.conftest import publish


def files_under(path: Path) -> list[str]:
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file() and p.name != LOCK)


def resealed(copy: Path) -> Path:
    """Seal a changed copy of a bundle again, as its maker could."""
    spec = conftest.SPEC
    (copy / MANIFEST).unlink()
    write_manifest(copy, spec=spec, opset=18, seed_algorithm=ALGORITHM)
    return copy


def test_the_first_version_is_complete(bundle, tmp_path):
    published = publish(bundle, "tiny", tmp_path / "repository")
    assert (published.name, published.version, published.path) == ("tiny", 1, tmp_path / "repository" / "tiny" / "1")
    assert files_under(tmp_path / "repository") == [
        "tiny/1/SHA256SUMS",
        "tiny/1/golden.npz",
        "tiny/1/manifest.json",
        "tiny/1/model.onnx",
        "tiny/config.pbtxt",
        "tiny/configs/cpu.pbtxt",
        "tiny/configs/limited.pbtxt",
        "tiny/configs/ort_trt.pbtxt",
        "tiny/configs/tensorrt.pbtxt",
    ]
    assert (published.path / "model.onnx").read_bytes() == (bundle / GRAPH).read_bytes()
    assert list(tmp_path.iterdir()) == [tmp_path / "repository"], "something half-made is left beside it"


def test_the_configuration_comes_from_the_graph_and_triton_reads_it(bundle, tmp_path):
    publish(bundle, "tiny", tmp_path)
    config = read_config(tmp_path / "tiny")
    assert config.inputs == (Tensor("z", "FP32", (8,)), Tensor("truncation", "FP32", (1,)))
    assert config.outputs == (Tensor("image", "UINT8", (8, 12, 4)),)
    assert GeneratorSpec.from_json(config.parameters[SPEC]) == conftest.SPEC
    assert config.parameters[BUNDLE] == sha256(bundle / MANIFEST)
    message = text_format.Parse((tmp_path / "tiny" / CONFIG).read_text(), model_config_pb2.ModelConfig())
    assert message.backend == "onnxruntime"
    assert message.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_AUTO


def test_the_configuration_is_the_same_bytes_wherever_it_is_made(bundle, tmp_path, monkeypatch):
    publish(bundle, "tiny", tmp_path / "here")
    moved = shutil.copytree(bundle, tmp_path / "elsewhere" / "renamed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    publish(moved, "tiny", Path("there"))
    here = (tmp_path / "here" / "tiny" / CONFIG).read_bytes()
    assert here == (tmp_path / "there" / "tiny" / CONFIG).read_bytes()
    assert str(tmp_path).encode() not in here


def test_the_same_bundle_again_is_a_new_version(bundle, tmp_path):
    assert [publish(bundle, "tiny", tmp_path).version for _ in range(3)] == [1, 2, 3]
    (model,) = list_models(tmp_path)
    assert (model.name, model.versions, model.path) == ("tiny", (1, 2, 3), tmp_path / "tiny")


def test_versions_go_on_after_the_highest(bundle, tmp_path):
    publish(bundle, "tiny", tmp_path)
    (tmp_path / "tiny" / "1").rename(tmp_path / "tiny" / "10")
    assert publish(bundle, "tiny", tmp_path).version == 11


def test_publishers_at_the_same_time_get_versions_of_their_own(bundle, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda _: publish(bundle, "tiny", tmp_path).version, range(8)))
    assert sorted(versions) == list(range(1, 9))


def test_settings_made_by_hand_are_kept(bundle, tmp_path):
    publish(bundle, "tiny", tmp_path)
    conftest.configure(tmp_path / "tiny", max_batch_size=5, queue=Queue(7, 9), instances=Instances("KIND_CPU", 2))
    newer = conftest.make_bundle(tmp_path / "newer", conftest.SPEC.with_provenance(images_seen=9), seed=1)
    publish(newer, "tiny", tmp_path)
    config = read_config(tmp_path / "tiny")
    assert (config.max_batch_size, config.queue, config.instances) == (5, Queue(7, 9), Instances("KIND_CPU", 2))
    assert GeneratorSpec.from_json(config.parameters[SPEC]).provenance.images_seen == 9
    assert config.parameters[BUNDLE] == sha256(newer / MANIFEST)


def test_settings_that_would_be_lost_are_not(bundle, tmp_path):
    publish(bundle, "tiny", tmp_path)
    config = tmp_path / "tiny" / CONFIG
    config.write_text(config.read_text() + "response_cache { enable: true }\n")
    with pytest.raises(RepositoryError, match=r"config\.pbtxt: it holds settings"):
        publish(bundle, "tiny", tmp_path)
    assert list_models(tmp_path)[0].versions == (1,)


def test_a_directory_that_is_no_model_is_not_touched(bundle, tmp_path):
    (tmp_path / "tiny").mkdir()
    with pytest.raises(RepositoryError, match="publish again"):
        publish(bundle, "tiny", tmp_path)
    assert files_under(tmp_path) == []


@pytest.mark.parametrize("already", [0, 1])
def test_a_copy_that_fails_leaves_nothing(bundle, tmp_path, monkeypatch, already):
    repository = tmp_path / "repository"
    for _ in range(already):
        publish(bundle, "tiny", repository)
    before = files_under(tmp_path)
    copied = shutil.copyfile

    def fails_at_the_second(source, target):
        if Path(target).name == MANIFEST:
            raise OSError(28, "No space left on device", str(source))
        return copied(source, target)

    monkeypatch.setattr(shutil, "copyfile", fails_at_the_second)
    with pytest.raises(RepositoryError, match=f"^{repository} has no room .*: make room, then publish again$"):
        publish(bundle, "tiny", repository)
    assert files_under(tmp_path) == before


def test_a_repository_that_cannot_be_written_is_named(bundle, tmp_path):
    (tmp_path / "file").touch()
    for repository in (tmp_path / "file", tmp_path / "file" / "repository"):
        with pytest.raises(RepositoryError, match=f"^{repository} cannot be written"):
            publish(bundle, "tiny", repository)


def test_what_a_killed_publisher_left_beside_the_repository_is_deleted(bundle, tmp_path):
    (tmp_path / ".repository.publishing.killed" / "tiny" / "1").mkdir(parents=True)
    assert publish(bundle, "tiny", tmp_path / "repository").version == 1
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]
    assert sorted(path.name for path in (tmp_path / "repository" / "tiny").iterdir()) == ["1", CONFIG, CONFIGS]


def test_what_a_killed_publisher_left_in_the_repository_does_not_stop_a_server(bundle, tmp_path, monkeypatch):
    """It works in there when it may not write beside it."""
    monkeypatch.setattr("serving.repository.staging._place_for_staging", lambda repository: repository)
    for repairs in (check_servable, lambda repository: publish(bundle, "tiny", repository)):
        publish(bundle, "tiny", tmp_path)
        (tmp_path / f".{tmp_path.name}.publishing.killed" / "tiny" / "1").mkdir(parents=True)
        repairs(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, "tiny"]


@pytest.mark.parametrize("name", [".git", ".m1.x.tmp"])
def test_a_hidden_folder_is_named_and_kept(bundle, tmp_path, name):
    publish(bundle, "tiny", tmp_path)
    (tmp_path / ".gitignore").touch()
    check_servable(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(RepositoryError, match=rf"\{name} is a folder Triton would take for a model: move it out of"):
        check_servable(tmp_path)
    assert (tmp_path / name).exists()


def test_a_configuration_that_was_cut_short_anywhere_is_said_in_a_short_line(bundle, tmp_path):
    publish(bundle, "tiny", tmp_path)
    config = tmp_path / "tiny" / CONFIG
    whole = config.read_bytes()
    said = set()
    for length in range(whole.index(b"output {")):
        config.write_bytes(whole[:length])
        for refuses in (lambda: check_servable(tmp_path), lambda: publish(bundle, "tiny", tmp_path)):
            with pytest.raises(RepositoryError, match=f"^{config}: ") as raised:
                refuses()
            said.add(str(raised.value).removeprefix(str(config)))
    config.write_bytes(whole[:-9])
    for refuses in (lambda: check_servable(tmp_path), lambda: publish(bundle, "tiny", tmp_path)):
        with pytest.raises(RepositoryError, match=f"^{config}: ") as raised:
            refuses()
        said.add(str(raised.value).removeprefix(str(config)))
    assert max(map(len, said)) < 120
    assert not any("\n" in each for each in said)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "-x", "a/b", "/etc", "../up", "a b", "ü", "a\n", "x" * 129])
def test_names_that_are_not_names_are_refused(bundle, tmp_path, name):
    with pytest.raises(RepositoryError, match="cannot name a model"):
        publish(bundle, name, tmp_path)
    assert files_under(tmp_path) == []


@pytest.mark.parametrize("changes", [{"latent_dim": 9}, {"width": 16}, {"channels": 3}, {"classes": ("a", "b")}])
def test_another_interface_needs_another_name(bundle, tmp_path, changes):
    repository = tmp_path / "repository"
    publish(bundle, "tiny", repository)
    other = conftest.make_bundle(tmp_path / "other", replace(conftest.SPEC, **changes))
    with pytest.raises(RepositoryError, match="another --name"):
        publish(other, "tiny", repository)
    assert publish(other, "other", repository).version == 1


@pytest.mark.parametrize("name", [GRAPH, GOLDEN])
def test_a_changed_bundle_is_refused(bundle, tmp_path, name):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / name).write_bytes((copy / name).read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="changed after the export"):
        publish(copy, "tiny", tmp_path / "repository")
    assert not (tmp_path / "repository").exists()


def change_graph(copy: Path, change) -> None:
    model = onnx.load(copy / GRAPH)
    change(model.graph)
    (copy / GRAPH).write_bytes(model.SerializeToString())


def fix_the_batch(graph):
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


def rename_the_image(graph):
    graph.output[0].name = graph.node[-1].output[0] = "picture"


def widen_the_latent(graph):
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = 9


def move_weights_outside(graph):
    graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    entry = graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def make_it_text(graph):
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.STRING


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (fix_the_batch, "dynamic batch"),
        (rename_the_image, "its spec wants image"),
        (widen_the_latent, "its spec wants"),
        (move_weights_outside, "another file"),
        (make_it_text, "not served"),
    ],
)
def test_a_graph_that_breaks_the_contract_is_refused(bundle, tmp_path, change, said):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    change_graph(copy, change)
    with pytest.raises(BundleError, match=said):
        publish(resealed(copy), "tiny", tmp_path / "repository")


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x08\x07" * 40])
def test_a_file_that_is_no_graph_is_refused(bundle, tmp_path, data):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / GRAPH).write_bytes(data)
    with pytest.raises(BundleError):
        publish(resealed(copy), "tiny", tmp_path / "repository")


def test_golden_images_of_another_generator_are_refused(bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    golden = Golden.read(copy / GOLDEN)
    (copy / GOLDEN).write_bytes(Golden({"z": np.zeros((5, 9), np.float32)}, golden.images).to_bytes())
    with pytest.raises(BundleError, match="does not fit the graph"):
        publish(resealed(copy), "tiny", tmp_path / "repository")


def test_no_directory_has_no_models(tmp_path):
    assert list_models(tmp_path / "nowhere") == []
