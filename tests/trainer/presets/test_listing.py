"""``train --list-settings``: every setting there is, and what is said of it."""

from dataclasses import fields

import pytest

from trainer.presets import PRESETS, resolve
from trainer.presets.listing import MARK, listing
from trainer.presets.settings import set_all
from trainer.settings.config import ADJUSTABLE, FREE_TO_CHANGE, TrainConfig


@pytest.mark.parametrize("preset", PRESETS)
def test_all_that_set_takes_is_listed_with_words_and_its_value_as_set_takes_it(preset: str) -> None:
    config = resolve(preset)
    rows = listing(config)
    assert all(row.words for row in rows)
    assert len({row.key for row in rows}) == len(rows)
    flat = {f.name for f in fields(TrainConfig) if not isinstance(getattr(config, f.name), dict)} - {"preset"}
    assert {row.key for row in rows if "." not in row.key} == flat
    assert {row.key.partition(".")[2] for row in rows if row.key.startswith("generator.")} >= config.generator.keys()
    assert listing(set_all(config, [f"{row.key}={row.value}" for row in rows], {})) == rows


def test_the_marked_may_change_and_the_others_may_not() -> None:
    rows = {row.key: row for row in listing(resolve("r3gan-cpu"))}
    assert {key for key, row in rows.items() if row.mark == MARK} == {*ADJUSTABLE, *FREE_TO_CHANGE}
    assert rows["r1_gamma"].value == "0.05"
    assert rows["final.r1_gamma"][2:] == ("0.01", "", "where r1_gamma ends, after schedule_kimg")
    assert rows["kimg"].unit == "kimg"
    assert rows["generator.blocks"].value == "1"
    assert rows["channels_last"].value == "true"


def test_a_section_s_own_words_and_units_come_first() -> None:
    rows = {row.key: row for row in listing(resolve("progressive-cpu"))}
    assert rows["growth.batch"][3:] == ("times", "what the batch is multiplied by, at each size")
    assert rows["batch"].unit == "images"
    assert "growth.batch" not in {row.key for row in listing(resolve("dcgan"))}
