"""The example runs."""

import importlib.util
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "tutorials" / "compare_policies.py"


def test_smoke_run_prints_the_table(capsys):
    spec = importlib.util.spec_from_file_location("tutorials/compare_policies", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(["--smoke", "--seed", "1"])
    out = capsys.readouterr().out
    for word in ("LinUCB", "LinTS", "best fixed arm", "oracle", "best on held-out queries"):
        assert word in out
