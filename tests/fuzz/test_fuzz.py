"""Damaged inputs of every kind end in one clear error or are read as they were; `make fuzz` tries many more."""

import subprocess
import sys

from tests.support.public_names import ROOT

N_INPUTS = 6  # of each kind
KINDS = ("policies", "parquet", "prompts", "dsjson", "pools", "templates", "configs", "weights", "heads", "gguf")


def test_damaged_inputs_are_refused_in_clear_words():
    driver = ROOT / "tests" / "fuzz" / "fuzz.py"
    done = subprocess.run([sys.executable, driver, "--inputs", str(N_INPUTS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in KINDS:
        assert f"{kind}: {N_INPUTS} inputs" in done.stdout
