"""What the table of packages says."""

import numpy as np

from core.doctor import Check, package


def test_a_package_that_is_there_has_its_version() -> None:
    assert package("numpy", "export") == Check("numpy", True, np.__version__)


def test_a_package_that_is_not_comes_with_the_command_that_installs_it() -> None:
    missing = package("no-such-package", "export")
    assert (missing.name, missing.fine, missing.found) == ("no-such-package", False, "not installed")
    assert missing.mend == "pip install -c constraints.txt '.[export]'"
