from dataclasses import replace

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from core.errors import RepositoryError
from serving.config import (
    DATA_TYPES,
    INSTANCE_KINDS,
    Accelerator,
    Instances,
    ModelConfig,
    Queue,
    Step,
    Tensor,
    from_message,
    parse,
    render,
)

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
