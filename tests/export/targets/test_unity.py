"""What docs/unity.md says: its C# draws NumPy's latents, where a compiler is, and its numbers are true."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from core.latents import LAST_SEED, latents
from export.targets.runtimes import TARGETS
from export.targets.variants import VARIANTS

PAGE = (Path(__file__).parents[3] / "docs" / "unity.md").read_text(encoding="utf-8")
CODE = re.findall(r"```csharp\n(.*?)```", PAGE, re.DOTALL)

MAIN = """
public static class Program
{
    public static void Main(string[] words)
    {
        foreach (var word in words)
            foreach (float value in Latents.Of(uint.Parse(word), 333))
                Console.WriteLine(BitConverter.ToInt32(BitConverter.GetBytes(value), 0));
    }
}
"""


def test_the_latents_of_the_page_are_numpys(tmp_path):
    compiler, runtime = shutil.which("mcs"), shutil.which("mono")
    if not (compiler and runtime):
        pytest.skip("no C# compiler: install one (Debian: apt-get install mono-mcs)")
    (tmp_path / "latents.cs").write_text(next(code for code in CODE if "class Latents" in code) + MAIN)
    subprocess.run([compiler, "-langversion:6", "latents.cs"], cwd=tmp_path, check=True, timeout=120)
    seeds = [0, 1, 7, 2**31, LAST_SEED, *range(1000, 1040)]
    command = [runtime, "latents.exe", *map(str, seeds)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    found = np.array(done.stdout.split(), np.int32).reshape(len(seeds), 333)
    assert np.array_equal(found, latents(seeds, 333).view(np.int32))


def test_the_values_to_check_by_are_those_of_the_seed():
    (said,) = re.findall(r"seed 7 begins (.*)\.\n", PAGE)
    assert np.array_equal(np.array(said.split(", "), np.float32), latents([7], 3)[0])


def test_the_page_names_files_and_opsets_that_are():
    assert VARIANTS["unity"][0] in PAGE
    assert TARGETS["unity-legacy"].opsets == (7, 15)
    assert TARGETS["unity"].opsets[1] == 25
    assert PAGE.count("| `unity` |") == 1
