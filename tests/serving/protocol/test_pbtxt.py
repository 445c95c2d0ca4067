from dataclasses import replace

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from core.errors import RepositoryError
from serving.protocol.model_config import (
    BUNDLE,
    ENSEMBLE,
    NO_LIMITS,
    ONNXRUNTIME,
    PART,
    PYTHON,
    SPEC,
    TENSORRT,
    THREADS,
    WHOLE,
    Accelerator,
    Instances,
    ModelConfig,
    Queue,
    Step,
    Tensor,
    part_name,
)
from serving.protocol.pbtxt import from_message, parse, parse_lenient, render

DATA_TYPES = ("FP32", "FP16", "INT64", "INT32", "UINT8", "STRING")
INSTANCE_KINDS = ("KIND_AUTO", "KIND_CPU", "KIND_GPU")

DATA_TYPES = ("FP32", "FP16", "INT64", "INT32", "UINT8", "STRING")
INSTANCE_KINDS = ("KIND_AUTO", "KIND_CPU", "KIND_GPU")

texts = st.text(st.characters(exclude_categories=["Cs"]))
named = st.dictionaries(texts, texts, max_size=3)
shapes = st.lists(st.integers(1, 4096), min_size=1, max_size=4).map(tuple)
outputs = st.builds(Tensor, texts, st.sampled_from(DATA_TYPES), shapes)
inputs = st.builds(Tensor, texts, st.sampled_from(DATA_TYPES), shapes, st.booleans())
batches = st.lists(st.integers(1, 4096), max_size=2).map(tuple)
configs = st.builds(
    ModelConfig,
    name=texts,
    inputs=st.lists(inputs, max_size=4, unique_by=lambda tensor: tensor.name).map(tuple),
    outputs=st.lists(outputs, max_size=2).map(tuple),
    backend=texts,
    max_batch_size=st.integers(0, 4096),
    queue=st.none() | st.builds(Queue, *(st.integers(0, most) for most in (10**7, 10**4, 10**9)), batches),
    instances=st.none()
    | st.builds(Instances, st.sampled_from(INSTANCE_KINDS), st.integers(1, 64), st.lists(texts).map(tuple)),
    warmup=batches,
    versions=st.integers(1, 9),
    filename=texts,
    accelerator=st.none() | st.builds(Accelerator, texts, named),
    steps=st.lists(st.builds(Step, texts, st.integers(-1, 99), named, named), max_size=3).map(tuple),
    parameters=named,
).map(lambda config: replace(config, queue=None) if config.steps else config)  # Triton takes one or the other
CONFIG = ModelConfig(
    "tiny",
    (Tensor("z", "FP32", (8,)),),
    (Tensor("image", "UINT8", (8, 8, 4)),),
    warmup=(1, 64),
    versions=2,
    parameters={"b": 'a "quoted" \\ line\nand ü', "a": ""},
)


@given(configs)
def test_parsing_undoes_rendering(config):
    assert parse(render(config)) == config


@given(configs)
def test_the_text_is_plain_ascii_and_triton_reads_it(config):
    message = text_format.Parse(render(config), model_config_pb2.ModelConfig())
    assert render(config).isascii()
    assert message.max_batch_size == config.max_batch_size
    assert {k: v.string_value for k, v in message.parameters.items()} == config.parameters


def test_the_order_of_parameters_does_not_matter():
    turned = replace(CONFIG, parameters=dict(reversed(CONFIG.parameters.items())))
    assert render(turned) == render(CONFIG)


@pytest.mark.parametrize("text", ["nonsense", 'name: "x', "max_batch_size: many", "colour: 3"])
def test_text_that_triton_would_not_read_is_refused(text):
    with pytest.raises(RepositoryError, match="would not read"):
        parse(text)


@pytest.mark.parametrize(
    "more",
    [
        'metric_tags { key: "a" value: "b" }',
        "response_cache { enable: true }",
        "instance_group { count: 2 }",
        'model_operations { op_library_filename: "x.so" }',
        "optimization { eager_batching: true }",
    ],
)
def test_settings_that_rewriting_would_lose_are_refused(more):
    with pytest.raises(RepositoryError, match="settings"):
        parse(render(CONFIG) + more)


def test_a_servers_answer_may_say_more():
    message = text_format.Parse(render(CONFIG), model_config_pb2.ModelConfig())
    message.optimization.priority = 1
    message.instance_group[0].name = "tiny_0"
    assert from_message(message) == CONFIG


# What each setting is called in Triton's own language, written by hand.
EVERYTHING = (
    ModelConfig(
        "tiny",
        (Tensor("z", "FP32", (8,)), Tensor("label", "INT64", (1,), optional=True)),
        (Tensor("image", "UINT8", (8, 12, 4)),),
        backend="tensorrt",
        max_batch_size=32,
        queue=Queue(500, 64, 9_000, (8, 16)),
        instances=Instances("KIND_GPU", 3, ("0", "1")),
        warmup=(1, 32),
        versions=2,
        filename="model.plan",
        accelerator=Accelerator("cuda", {"use_tf32": "0"}),
        parameters={"a": "b"},
    ),
    """
    name: "tiny"
    backend: "tensorrt"
    max_batch_size: 32
    default_model_filename: "model.plan"
    version_policy { latest { num_versions: 2 } }
    input { name: "z" data_type: TYPE_FP32 dims: 8 }
    input { name: "label" data_type: TYPE_INT64 dims: 1 optional: true }
    output { name: "image" data_type: TYPE_UINT8 dims: [8, 12, 4] }
    dynamic_batching {
      preferred_batch_size: [8, 16]
      max_queue_delay_microseconds: 500
      default_queue_policy { default_timeout_microseconds: 9000 allow_timeout_override: true max_queue_size: 64 }
    }
    instance_group { kind: KIND_GPU count: 3 profile: ["0", "1"] }
    optimization { execution_accelerators { gpu_execution_accelerator {
      name: "cuda" parameters { key: "use_tf32" value: "0" }
    } } }
    model_warmup {
      name: "batch of 1" batch_size: 1
      inputs { key: "z" value { data_type: TYPE_FP32 dims: 8 zero_data: true } }
      inputs { key: "label" value { data_type: TYPE_INT64 dims: 1 zero_data: true } }
    }
    model_warmup {
      name: "batch of 32" batch_size: 32
      inputs { key: "z" value { data_type: TYPE_FP32 dims: 8 zero_data: true } }
      inputs { key: "label" value { data_type: TYPE_INT64 dims: 1 zero_data: true } }
    }
    parameters { key: "a" value { string_value: "b" } }
    """,
)
BARE = (
    ModelConfig("m", (Tensor("z", "FP32", (1,)),), (Tensor("w", "FP16", (2,)),)),
    """
    name: "m"
    backend: "onnxruntime"
    max_batch_size: 64
    input { name: "z" data_type: TYPE_FP32 dims: 1 }
    output { name: "w" data_type: TYPE_FP16 dims: 2 }
    dynamic_batching { default_queue_policy {
      default_timeout_microseconds: 10000000 allow_timeout_override: true max_queue_size: 128
    } }
    instance_group { kind: KIND_AUTO count: 1 }
    """,
)
UNLIMITED = (
    ModelConfig("m", (), (), backend="python", queue=NO_LIMITS, instances=None),
    'name: "m" backend: "python" max_batch_size: 64 dynamic_batching {}',
)
WAITS_FOR_A_WHILE = (
    ModelConfig("m", (), (), queue=Queue(size=0, timeout_us=7), instances=None),
    """
    name: "m" backend: "onnxruntime" max_batch_size: 64
    dynamic_batching { default_queue_policy { default_timeout_microseconds: 7 allow_timeout_override: true } }
    """,
)
TOGETHER = (
    ModelConfig(
        "both",
        (Tensor("seed", "INT64", (1,)),),
        (Tensor("png", "STRING", (1,)),),
        backend="ensemble",
        max_batch_size=0,
        queue=None,
        instances=None,
        steps=(Step("first", 3, {"seed": "s"}, {"z": "drawn"}), Step("second", -1, {"z": "drawn"}, {"png": "png"})),
    ),
    """
    name: "both"
    platform: "ensemble"
    input { name: "seed" data_type: TYPE_INT64 dims: 1 }
    output { name: "png" data_type: TYPE_STRING dims: 1 }
    ensemble_scheduling {
      step {
        model_name: "first" model_version: 3
        input_map { key: "seed" value: "s" } output_map { key: "z" value: "drawn" }
      }
      step {
        model_name: "second" model_version: -1
        input_map { key: "z" value: "drawn" } output_map { key: "png" value: "png" }
      }
    }
    """,
)


@pytest.mark.parametrize(("config", "text"), [EVERYTHING, BARE, UNLIMITED, WAITS_FOR_A_WHILE, TOGETHER])
def test_every_setting_has_tritons_name_and_place(config, text):
    written, by_hand = (text_format.Parse(each, model_config_pb2.ModelConfig()) for each in (render(config), text))
    assert written == by_hand
    assert parse(text) == config
    assert parse_lenient(render(CONFIG)) == CONFIG


def test_names_that_are_kept_for_clients_and_for_tritons_backends():
    assert (SPEC, BUNDLE) == ("ganfoundry_spec", "ganfoundry_bundle_sha256")
    assert (PART, WHOLE) == ("ganfoundry_part", "ganfoundry_part_of")
    assert THREADS == "intra_op_thread_count"
    assert (ONNXRUNTIME, PYTHON) == ("onnxruntime", "python")
    assert (TENSORRT, ENSEMBLE) == ("tensorrt", "ensemble")
    assert part_name("tiny", "mapping") == "tiny_mapping"


def test_the_lists_of_types_and_kinds_are_tritons():
    codes = [model_config_pb2.DataType.Value(f"TYPE_{name}") for name in DATA_TYPES]
    assert len(set(codes)) == 6
    kinds = {model_config_pb2.ModelInstanceGroup.Kind.Value(kind) for kind in INSTANCE_KINDS}
    assert len(kinds) == 3


def test_what_is_glanced_at_may_say_more_but_must_say_what_goes_in_and_out():
    more = 'metric_tags { key: "a" value: "b" }'
    assert parse_lenient(BARE[1] + more) == BARE[0]
    for field in ("input", "output"):
        message = text_format.Parse(BARE[1], model_config_pb2.ModelConfig())
        message.ClearField(field)
        with pytest.raises(RepositoryError, match="cut short"):
            parse_lenient(text_format.MessageToString(message))
    with pytest.raises(RepositoryError, match="from line 2 on"):
        parse_lenient('name: "m"\nnonsense')


def test_an_accelerator_may_have_no_parameters():
    found = parse(render(replace(BARE[0], accelerator=Accelerator("tensorrt"))))
    assert found.accelerator == Accelerator("tensorrt", {})


def test_what_was_read_does_not_change_with_the_message():
    for config, text in (EVERYTHING, TOGETHER):
        message = text_format.Parse(text, model_config_pb2.ModelConfig())
        found = from_message(message)
        for accelerator in message.optimization.execution_accelerators.gpu_execution_accelerator:
            accelerator.parameters["more"] = "x"
        for step in message.ensemble_scheduling.step:
            step.input_map["more"] = step.output_map["more"] = "x"
        assert found == config


def test_a_policy_of_no_newest_versions_serves_one():
    assert parse_lenient(BARE[1] + "version_policy { latest {} }").versions == 1


def test_what_is_set_for_a_machine_is_carried_over_and_the_model_stays_itself():
    other = replace(EVERYTHING[0], parameters={"intra_op_thread_count": "3", "mine": "x"})
    found = CONFIG.set_as(other)
    assert found == replace(
        CONFIG,
        max_batch_size=32,
        queue=other.queue,
        instances=other.instances,
        accelerator=other.accelerator,
        parameters={**CONFIG.parameters, "intra_op_thread_count": "3"},
    )
    assert CONFIG.set_as(EVERYTHING[0]).parameters == CONFIG.parameters


@pytest.mark.parametrize(("most", "batches"), [(64, (1, 64)), (2, (1, 2)), (1, (1,)), (0, (1,))])
def test_a_model_is_warmed_at_its_smallest_and_largest_batch(most, batches):
    assert replace(CONFIG, max_batch_size=most, warmup=()).warmed().warmup == batches
