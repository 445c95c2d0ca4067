"""Settings: checked in the user's words, and the same after a trip through JSON."""

import json

import pytest

from core.errors import ConfigError
from trainer.config import TrainConfig, differences
from trainer.presets import PRESETS, resolve


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_know_their_name_and_survive_json(preset: str) -> None:
    config = resolve(preset)
    assert config.preset == preset
    assert TrainConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("batch=32", "batch", 32),
        ("learning_rate_g=1e-4", "learning_rate_g", 1e-4),
        ("kimg=5", "kimg", 5.0),
        ("real_labels=0.8,1.0", "real_labels", (0.8, 1.0)),
        ("real_labels=0.9", "real_labels", (0.9, 0.9)),
        ("augment=translation", "augment", ("translation",)),
        ("augment=colour,translation", "augment", ("colour", "translation")),
        ("augment=", "augment", ()),
        ("augment=auto", "augment", ("auto",)),
        ("channels_last=false", "channels_last", False),
        ("generator.upsample=nearest", "generator", {"width": 64, "upsample": "nearest"}),
    ],
)
def test_settings_are_read_as_people_write_them(setting: str, field: str, value: object) -> None:
    assert getattr(resolve("dcgan", [setting]), field) == value


def test_width_scales_both_networks() -> None:
    config = resolve("dcgan", ["width=16"])
    assert config.generator["width"] == config.discriminator["width"] == 16


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("bach=32", "did you mean batch"),
        ("batch", "key=value"),
        ("batch=0", "at least 1"),
        ("batch=many", "must look like 64"),
        ("batch=1.5", "must look like 64"),
        ("learning_rate_g=0", "more than 0"),
        ("learning_rate_g=nan", "learning_rate_g"),
        ("beta1=1", "less than 1"),
        ("real_labels=1,0", "rise"),
        ("real_labels=0.1,0.2,0.3", "must look like"),
        ("augment=cutot", "did you mean cutout"),
        ("family=dcgam", "did you mean dcgan"),
        ("loss=hinged", "loss 'hinged' is unknown"),
        ("precision=fp16", "precision"),
        ("channels_last=3", "must look like True"),
        ("batch=1e400", "must look like 64"),
        ("batch=99999999999", "at most 65536"),
        ("seed=1e30", "at most 4294967295"),
        ("final.beta2=a", "must be a number"),
        ("final.beta2=5", "beta2 is 5"),
        ("final.r1_gamma=true", "must be a number"),
        ("final.learning_rate_g=nan", "learning_rate_g"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(setting: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        resolve("dcgan", [setting])
    assert "\n" not in str(error.value)


def test_unknown_presets_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean dcgan"):
        resolve("dcgn")


def test_a_continued_run_may_change_its_length_but_not_what_it_learns() -> None:
    config = resolve("dcgan")
    assert differences(resolve("dcgan", kimg=900.0, device="cpu"), config) == []
    assert differences(resolve("dcgan", batch=32), config) == ["batch: 32, was 64"]


def test_settings_younger_than_a_run_have_their_defaults_and_unknown_ones_are_refused() -> None:
    config = resolve("dcgan")
    old = {name: value for name, value in json.loads(config.to_json()).items() if name != "augment_p"}
    assert TrainConfig.from_json(json.dumps(old)) == config
    with pytest.raises(ConfigError, match="'magic', which this version does not know"):
        TrainConfig.from_json(json.dumps({**old, "magic": 1}))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"preset": 3}', '{"preset": "dcgan", "batch": "x"}'])
def test_a_damaged_config_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(ConfigError, match="damaged"):
        TrainConfig.from_json(text)
