"""What Triton refuses, in our words: texts of server 2.51, as it sent them."""

import json

import pytest

from serving.protocol.refusals import answer_in_our_words, in_our_words

SAID = [
    ("[request id: <id_unknown>] input 'seed' already exists in request", "'seed' is there twice: leave one out"),
    (
        "in ensemble 'a_png', [request id: 7] inference request batch-size must be <= 64 for 'a_png'",
        "'a_png' makes at most 64 images a request: send the rest in further ones",
    ),
    (
        "inference input 'class' data-type is 'INT64', but model 'a' expects 'STRING'",
        "'class' of 'a' is BYTES, not INT64: send it as that",
    ),
    (
        "input 'seed' batch size does not match other inputs for 'a'",
        "'seed' of 'a' has not as many rows as the other inputs: send one for each image",
    ),
    (
        "expected 2 inputs but got 1 inputs for model 'a'. Got input(s) ['z'], but missing required input(s) "
        "['truncation']. Please provide all required input(s).",
        "'a' needs 'truncation' too: send it",
    ),
    (
        "Request for unknown model: 'a' has no available versions",
        "the server has no model 'a': 'models' lists those of a repository",
    ),
    (
        "invalid datatype for input seed",
        "the datatype of 'seed' is none: send INT64, FP32, UINT8 or BYTES, as the model takes it",
    ),
    (
        "[request id: <id_unknown>] out of bounds index 0: request has 0 inputs",
        "the request has no inputs: send what the model takes, a seed or a picture",
    ),
    ("Not Found", "there is nothing at this address: POST what a model is asked for to /v2/models/NAME/infer"),
    ("the graph could not be run", "the graph could not be run"),
]


@pytest.mark.parametrize(("said", "words"), SAID)
def test_each_is_a_line_that_says_what_to_do(said, words):
    assert in_our_words(said) == words


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ("Unable to parse 'data': Shape does not match true shape of 'data' field", 400, "are not as many values as"),
        ("Unable to parse 'data': attempt to access JSON non-number as double", 400, "what is not of its datatype"),
        (
            "Unable to parse 'x': attempt to access non-existing object member 'datatype'",
            400,
            "has no datatype: send its",
        ),
        ("failed to get request params.: attempt to get members for non-object", 400, "write them as {}"),
        ("something else", 500, "something else"),
    ],
)
def test_json_that_cannot_be_read_is_the_sender_s_fault(said, status, words):
    found, body = answer_in_our_words(500, json.dumps({"error": said}).encode())
    assert (found, words in json.loads(body)["error"]) == (status, True)


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'"error"', b"{}", b'{"error": 7}', b"\xff"])
def test_what_is_no_refusal_is_left_as_it_is(body):
    assert answer_in_our_words(503, body) == (503, body)
