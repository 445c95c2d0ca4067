"""What systems do differently: names against Microsoft's rules, and locks that outlive nobody."""

import os
from urllib.parse import unquote

import pytest

from core.system import WAITS, delete_unless_held, fault_of_name, hold, portable_name, usable_name, wait_asleep


@pytest.mark.parametrize(
    "name", ["CON", "nul.png", "com1", "LPT9.tar.gz", "a.", "a ", "a:b", 'a"', "a?b", "", "a\tb", "aux .x"]
)
def test_names_that_windows_has_not(name):
    assert fault_of_name(name)


@pytest.mark.parametrize("name", ["console.png", ".lock", "com10", "0000000001.png", "Füchse", "a b", "nullable"])
def test_names_that_windows_has(name):
    assert fault_of_name(name) == ""


@pytest.mark.parametrize("label", ["con", "nul.x", "a:b", "C:\\dogs", "plain", "LPT1. ", "é"])
def test_a_class_becomes_part_of_a_name_that_every_system_has(label):
    name = usable_name(f"{portable_name(label)}_0000000001", ".png")
    assert fault_of_name(f"{name}.png") == ""
    assert unquote(name) == f"{label}_0000000001"


def test_a_leftover_is_deleted_and_what_is_held_is_not(tmp_path):
    held, left = tmp_path / "held", tmp_path / "left"
    left.touch()
    with held.open("wb") as file:
        hold(file.fileno())
        for path in (held, left):
            delete_unless_held(path)
        assert (held.exists(), left.exists()) == (True, False)
    delete_unless_held(held)
    assert not held.exists()


@pytest.mark.parametrize("chosen", [{}, {"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "7"}])
def test_threads_that_wait_sleep_unless_somebody_chose_otherwise(monkeypatch, chosen):
    monkeypatch.setattr(os, "environ", dict(chosen))
    wait_asleep()
    assert os.environ == (chosen or WAITS)
