from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import publishing
from serving.protocol.model_config import THREADS, Instances, ModelConfig, Queue
from serving.protocol.pbtxt import parse, render
from serving.repository import changes
from serving.repository.changes import reconfigure
from serving.repository.configs import read_config
from serving.repository.layout import CONFIGS
from serving.repository.servable import check_servable
from serving.tuning.grid import Setting, batches, delays, most_candidates, placements
from tests.serving.conftest import configure, make_style_bundle

settings = st.builds(
    Setting,
    instances=st.integers(1, 8),
    threads=st.integers(1, 8),
    delay_us=st.sampled_from([0, 500, 1000, 4000]),
    preferred=st.sampled_from([(), (4,), (8,), (16,)]),
    max_batch=st.sampled_from([16, 64, 128]),
)


@given(settings, st.integers(1, 96))
def test_placements_fill_the_cores_and_exceed_them_only_to_take_turns(present, cores):
    found = placements(present, cores)
    assert found[0] == present
    assert len(set(found)) == len(found)
    for setting in found[1:]:
        if (setting.instances, setting.threads) == (2, cores):
            continue
        assert cores // 2 <= setting.instances * setting.threads <= cores
        assert (setting.delay_us, setting.preferred, setting.max_batch) == (
            *(present.delay_us, present.preferred, present.max_batch),
        )
    assert {(1, cores), (cores, 1)} <= {(each.instances, each.threads) for each in found} or cores & (cores - 1)


@given(settings, st.integers(1, 96))
def test_the_search_is_no_longer_than_it_says(present, cores):
    assert len(placements(present, cores)) + len(delays(present)) + len(batches(present)) <= most_candidates(
        present, cores
    )
    assert present not in delays(present) + batches(present)
    for setting in delays(present) + batches(present):
        assert all(size < setting.max_batch or size == setting.max_batch for size in setting.preferred)


def test_one_core_leaves_nothing_but_turns():
    assert placements(Setting(1, 1), 1) == [Setting(1, 1), Setting(2, 1)]


@given(settings, st.integers(1, 96))
def test_a_configuration_holds_a_setting_whole(setting, cores):
    config = ModelConfig("tiny", (), (), queue=Queue(7, 5, 3), parameters={"a": "b"})
    configured = parse(render(setting.on(config)))
    assert Setting.of(configured, cores) == setting
    assert configured.warmup == (1, setting.max_batch)
    assert (configured.queue.size, configured.queue.timeout_us, configured.parameters["a"]) == (5, 3, "b")


@pytest.mark.parametrize(("instances", "cores"), [(1, 8), (2, 8), (3, 8), (2, 1)])
def test_without_a_word_of_threads_each_session_has_all_cores_as_in_the_backend(instances, cores):
    config = Setting(instances, 99).on(ModelConfig("tiny", (), ()))
    del config.parameters[THREADS]
    assert Setting.of(config, cores).threads == cores


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A generator with styles, and the models for thin clients."""
    repository = tmp_path_factory.mktemp("tuned") / "repository"
    publishing.publish(
        make_style_bundle(tmp_path_factory.mktemp("bundles") / "styled"), "styled", repository, trial=False
    )
    return repository


@pytest.mark.parametrize(
    "setting", [Setting(2, 3, 1000, (8,), 16), Setting(1, 1, max_batch=256), Setting(1, 2), Setting(4, 1, 4000, (), 1)]
)
def test_what_belongs_to_a_model_is_fitted_to_it_and_stays_servable(published, setting):
    names = reconfigure("styled", published, setting.on)
    assert len(names) == 5
    check_servable(published)
    for part in ("styled", "styled_mapping", "styled_synthesis"):
        assert Setting.of(read_config(published / part), 1) == setting
        for engine in (published / part / CONFIGS).iterdir():
            beside = parse(engine.read_text())
            assert (beside.max_batch_size, beside.queue.delay_us) == (setting.max_batch, setting.delay_us)
            instances = max(setting.instances, 2) if engine.stem == "limited" else setting.instances
            assert (beside.instances.count, beside.parameters[THREADS]) == (instances, str(setting.threads))
    for part in ("from_seed", "png"):
        config = read_config(published / f"styled_{part}")
        assert config.max_batch_size == setting.max_batch
        assert config.instances == Instances("KIND_CPU", 2)
        assert config.accelerator is None


def test_the_next_version_keeps_what_was_tuned(published, tmp_path):
    setting = Setting(3, 1, 1000, (8,), 32)
    reconfigure("styled", published, setting.on)
    publishing.publish(make_style_bundle(tmp_path / "again", seed=1), "styled", published, trial=False)
    assert Setting.of(read_config(published / "styled"), 1) == setting
    assert read_config(published / "styled_png").max_batch_size == 32
    check_servable(published)


def test_whoever_is_killed_while_writing_leaves_what_can_be_served(published, monkeypatch):
    written = changes.write_configs
    for last in (1, 2, 4):
        for most in (16, 256):  # smaller, then larger
            left = iter(range(last))

            def write(model, config, engines, left=left):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                written(model, config, engines)

            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(changes, "write_configs", write)
                reconfigure("styled", published, Setting(1, 1, max_batch=most).on)
            check_servable(published)
            reconfigure("styled", published, Setting(1, 1, max_batch=most).on)


def test_a_hand_made_limit_stays(published):
    configure(published / "styled", queue=Queue(size=9, timeout_us=5))
    reconfigure("styled", published, Setting(1, 1, 1000).on)
    assert read_config(published / "styled").queue == Queue(1000, 9, 5)
