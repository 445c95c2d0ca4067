"""Settings: checked in the user's words, and the same after a trip through JSON."""

import json
import math
import re
from dataclasses import asdict, replace

import pytest

from core.errors import ConfigError
from trainer.presets import PRESETS, resolve
from trainer.settings.config import TrainConfig, differences
from trainer.settings.fields import one_of
from trainer.settings.values import like


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


# What a run of long ago was trained by where its settings lack one: a default may never change.
DEFAULTS = {
    "family": "dcgan",
    "system": "adversarial",
    "generator": {},
    "discriminator": {},
    "latent_dim": 100,
    "conditional": False,
    "balance": False,
    "loss": "non-saturating",
    "loss_options": {},
    "real_labels": (1.0, 1.0),
    "fake_labels": (0.0, 0.0),
    "r1_gamma": 0.0,
    "r2_gamma": 0.0,
    "gradient_penalty": 0.0,
    "drift": 0.0,
    "penalty_every": 1,
    "clip": 0.0,
    "orthogonal": 0.0,
    "critic_steps": 1,
    "optimiser": "adam",
    "augment": ("auto",),
    "augment_p": 1.0,
    "augment_target": 0.0,
    "learning_rate_g": 2e-4,
    "learning_rate_d": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "ema_kimg": 10.0,
    "ema_ramp": 0.05,
    "schedule": "cosine",
    "schedule_from": 0.0,
    "schedule_kimg": 0.0,
    "final": {},
    "changed": {},
    "growth": {},
    "heads": {},
    "regularise": {},
    "stack": {},
    "pairing": {},
    "cycle": {},
    "corruption": {},
    "batch": 64,
    "kimg": 200.0,
    "seed": 0,
    "log_kimg": 1.0,
    "preview_kimg": 10.0,
    "checkpoint_kimg": 25.0,
    "previews": 64,
    "metric_kimg": 0.0,
    "metric_samples": 500,
    "metric_reals": 0,
    "tensorboard": False,
    "device": "auto",
    "precision": "fp32",
    "channels_last": True,
}


def test_defaults_are_what_runs_of_long_ago_were_trained_by() -> None:
    assert asdict(TrainConfig("x")) == {"preset": "x", **DEFAULTS}
    assert TrainConfig.from_json('{"preset": "x"}') == TrainConfig("x")
    text = TrainConfig("x").to_json()
    assert text == json.dumps({"preset": "x", **DEFAULTS}, indent=2) + "\n"


POSITIVE = ("learning_rate_g", "learning_rate_d", "kimg", "log_kimg", "preview_kimg", "checkpoint_kimg")
COUNTS = ("batch", "penalty_every", "critic_steps", "previews", "latent_dim")
NUMBERS = (
    *("r1_gamma", "r2_gamma", "gradient_penalty", "drift", "clip", "orthogonal", "ema_kimg", "ema_ramp"),
    *("schedule_from", "schedule_kimg", "seed", "metric_kimg", "metric_reals"),
)


def test_every_number_has_its_bounds_which_may_be_met_or_not() -> None:
    """As far as it goes (may) and from where on it is refused (not), with what is said then."""
    bounds: list[tuple[str, float, float, str]] = [
        *((name, 5e-324, 0, "it must be more than 0") for name in POSITIVE),
        *((name, 1, 0, "it must be at least 1") for name in COUNTS),
        *((name, 0, -1e-9, "it must be at least 0") for name in NUMBERS),
        *((name, 1.7e308, math.inf, "it must be") for name in (*POSITIVE, *NUMBERS) if name != "seed"),
        *((name, 1.0, math.nextafter(1, 2), "it must be 0 to 1") for name in ("augment_p", "augment_target")),
        *((name, 0.0, -5e-324, "it must be 0 to 1") for name in ("augment_p", "augment_target")),
        *((name, 0.0, -5e-324, "it must be at least 0 and less than 1") for name in ("beta1", "beta2")),
        *((name, 0.99, 1.0, "it must be at least 0 and less than 1") for name in ("beta1", "beta2")),
        ("metric_samples", 16, 15, "it must be at least 16"),
        ("batch", 65_536, 65_537, "it must be at most 65536"),
        ("seed", 2**32 - 1, 2**32, "it must be at most 4294967295"),
    ]
    for name, may, refused, said in bounds:
        assert getattr(TrainConfig("x", **{name: may}), name) == may
        with pytest.raises(ConfigError, match=rf"^{name} is {re.escape(str(refused))}: {said}"):
            TrainConfig("x", **{name: refused})


def test_labels_rise_within_0_and_1() -> None:
    for name in ("real_labels", "fake_labels"):
        for may in ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.4, 0.5)):
            assert getattr(TrainConfig("x", **{name: may}), name) == may
        for refused in ((-0.1, 0.5), (0.5, 0.4), (0.5, 1.1)):
            with pytest.raises(ConfigError, match=f"{name} is {refused[0]}, {refused[1]}: they must rise"):
                TrainConfig("x", **{name: refused})


def test_names_are_those_that_there_are() -> None:
    for name in ("family", "loss", "optimiser", "precision"):
        with pytest.raises(ConfigError, match=f"^{name} 'zzz' is unknown: choose from "):
            TrainConfig("x", **{name: "zzz"})
    for augment in (("translation", "zzz"), ("auto", "translation")):
        with pytest.raises(ConfigError, match=r"augment .(zzz|auto). is unknown"):
            TrainConfig("x", augment=augment)
    with pytest.raises(ConfigError, match=r"has no option .zzz."):
        TrainConfig("x", loss_options={"zzz": 1.0})
    assert TrainConfig("x", precision="bf16").precision == "bf16"


def test_an_unknown_name_hears_the_nearest_or_all_in_order() -> None:
    with pytest.raises(ConfigError, match=r"^thing 'zzz' is unknown: choose from beta, colour$"):
        one_of("thing", "zzz", iter(["colour", "beta"]))
    with pytest.raises(ConfigError, match=r"^thing 'betta' is unknown: did you mean beta\?$"):
        one_of("thing", "betta", {"colour": 1, "beta": 2})


def test_settings_of_one_system_are_refused_by_others() -> None:
    for name, system, settings in (
        ("growth", "progressive", {"stable_kimg": [1.0]}),
        ("heads", "heads", {"codes": 1}),
        ("regularise", "style", {"path_length": 1.0}),
        ("stack", "stacked", {"conditional": 1.0}),
    ):
        assert getattr(TrainConfig("x", system=system, **{name: settings}), name) == settings
        said = f"{name} is of the {system} system, and this run's is adversarial: leave it out"
        with pytest.raises(ConfigError, match=said):
            TrainConfig("x", **{name: settings})
        with pytest.raises(ConfigError, match=f"{name}.zzz is unknown"):
            TrainConfig("x", system=system, **{name: {"zzz": 1}})


def test_what_moves_moves_along_a_cosine_and_what_was_changed_by_hand_from_its_moment_on() -> None:
    scheduled = ("learning_rate_g", "learning_rate_d", "beta2", "r1_gamma", "r2_gamma", "augment_p")
    config = TrainConfig("x", schedule_kimg=2.0, final=dict.fromkeys(scheduled, 0.5), kimg=0.0125)
    assert config.images == 12
    half = config.at(1000)
    for name in scheduled:
        assert getattr(half, name) == pytest.approx((DEFAULTS[name] + 0.5) / 2)
        assert getattr(config.at(2000), name) == 0.5
    assert half.final == {}
    assert TrainConfig("x", final={"beta2": 0.5}).at(1000).beta2 == 0.999
    assert TrainConfig("x", schedule_kimg=2.0).at(1000) == TrainConfig("x", schedule_kimg=2.0)

    adjustable = (*scheduled, "beta1", "gradient_penalty", "drift", "orthogonal")
    other = TrainConfig("x", **dict.fromkeys(adjustable, 0.25))
    config = TrainConfig("x").continued(other, 1000)
    assert config.changed == {"1000": dict.fromkeys(adjustable, 0.25)}
    assert config.adjusted(999) == TrainConfig("x")
    assert config.adjusted(1000) == config.adjusted() == other
    assert differences(other, TrainConfig("x")) == []
    later = config.continued(replace(other, drift=0.5), 9000)  # 9000 comes after 10000 where digits are letters
    latest = later.continued(replace(other, drift=0.75), 10_000)
    assert [latest.adjusted(images).drift for images in (8999, 9000, 9999, 10_000)] == [0.25, 0.5, 0.5, 0.75]
    for order in (("9000", "10000"), ("10000", "9000")):
        by_hand = TrainConfig("x", changed={moment: {"drift": float(moment)} for moment in order})
        assert by_hand.adjusted().drift == 10_000
    again = latest.continued(replace(other, drift=0.5), 10_000)
    assert again.changed["10000"] == {"drift": 0.5}
    assert latest.continued(replace(other, drift=1.0, beta1=0.75), 1000).changed == {
        "1000": {**dict.fromkeys(adjustable, 0.25), "drift": 1.0, "beta1": 0.75}
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"final": {"batch": 4}}, "final 'batch' is unknown"),
        ({"final": {"beta1": 0.4}}, "final 'beta1' is unknown"),
        ({"final": {"beta2": True}}, "final.beta2 is True: it must be a number"),
        ({"final": {"beta2": "x"}}, "final.beta2 is 'x': it must be a number"),
        ({"final": {"beta2": 1}}, "beta2 is 1: it must be at least 0 and less than 1"),
        ({"changed": {"x": {"drift": 1}}}, "changed.x is {'drift': 1}: it must be settings by images seen"),
        ({"changed": {"-1": {"drift": 1}}}, "changed.-1 is {'drift': 1}: it must be settings"),
        ({"changed": {"1": 3}}, "changed.1 is 3: it must be settings by images seen"),
        ({"changed": {"1": {"clip": 3}}}, "changed 'clip' is unknown"),
        ({"changed": {"1": {"drift": True}}}, "changed.1.drift is True: it must be a number"),
        ({"changed": {"1": {"drift": "x"}}}, "changed.1.drift is 'x': it must be a number"),
        ({"changed": {"1": {"drift": -1}}}, "drift is -1: it must be at least 0"),
    ],
)
def test_what_moves_or_was_changed_is_a_number_that_a_run_could_start_with(given: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        TrainConfig("x", **given)
    assert TrainConfig("x", final={"beta2": 0.5}, changed={"1": {"drift": 1, "beta2": 0.5}}).drift == 0


def test_small_packs_are_augmented_unless_it_is_said_otherwise() -> None:
    assert TrainConfig("x").settled(29_999).augment == ("translation",)
    assert TrainConfig("x").settled(30_000).augment == ()
    assert TrainConfig("x", augment_target=0.6).settled(30_000).augment == ("translation",)
    assert TrainConfig("x", augment=("colour",)).settled(10).augment == ("colour",)
    assert TrainConfig("x", augment=()).settled(10).augment == ()
    with pytest.raises(ConfigError, match="--set augment=translation"):
        TrainConfig("x", augment=(), augment_target=0.6).settled(10)


def test_a_continued_run_may_change_how_it_is_run() -> None:
    free = {
        "kimg": 1.0,
        "log_kimg": 2.0,
        "preview_kimg": 2.0,
        "checkpoint_kimg": 2.0,
        "previews": 2,
        "device": "cpu",
        "precision": "bf16",
        "channels_last": False,
        "metric_kimg": 1.0,
        "metric_samples": 99,
        "metric_reals": 9,
        "tensorboard": True,
        "changed": {"1": {"drift": 1.0}},
    }
    assert differences(TrainConfig("x", **free), TrainConfig("x")) == []
    assert differences(TrainConfig("y", seed=3), TrainConfig("x")) == ["preset: y, was x", "seed: 3, was 0"]


@pytest.mark.parametrize(
    ("example", "value", "found"),
    [
        ((1.0, 1.0), [0, 1], (0.0, 1.0)),
        ((0.0, 0.0), [1, 0], (1.0, 0.0)),
        ((1.0, 1.0), 1, (1.0, 1.0)),
        ((1.0, 1.0), [0.9], (0.9, 0.9)),
        (("auto",), "", ()),
        (("auto",), "a", ("a",)),
        (("auto",), ["a", "b"], ("a", "b")),
        ((), "a", ("a",)),
        (True, False, False),
        (1, 5.0, 5),
        (1.0, 5, 5.0),
        (1.0, "0.5", 0.5),
        ("x", "y", "y"),
        ({}, {"a": 1}, {"a": 1}),
    ],
)
def test_a_value_becomes_what_its_setting_is(example: object, value: object, found: object) -> None:
    made = like(example, value)
    assert made == found
    assert type(made) is type(found)
    if isinstance(found, tuple):
        assert [type(each) for each in made] == [type(each) for each in found]


@pytest.mark.parametrize(
    ("example", "value"),
    [
        ((1.0, 1.0), [1, 2, 3]),
        ((1.0, 1.0), []),
        (True, 1),
        (1, True),
        (1.0, True),
        (1, 1.5),
        (1, math.inf),
        (1, math.nan),
        ("x", 1),
        ({}, "x"),
        ((1.0, 1.0), True),
    ],
)
def test_a_value_that_is_something_else_is_refused(example: object, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        like(example, value)


def test_settings_stay_until_they_begin_to_move_and_then_follow_a_line() -> None:
    moving = resolve("dcgan", ["schedule=linear", "schedule_from=10", "schedule_kimg=30", "final.learning_rate_g=1e-4"])
    found = [moving.at(1000 * kimg).learning_rate_g for kimg in (0, 10, 15, 20, 30, 40)]
    assert found == pytest.approx([2e-4, 2e-4, 1.75e-4, 1.5e-4, 1e-4, 1e-4])
    with pytest.raises(ConfigError, match="less than schedule_kimg"):
        resolve("dcgan", ["schedule_from=30", "schedule_kimg=30"])
