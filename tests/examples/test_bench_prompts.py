"""The benchmark of prompts runs on a tiny model, and the page of generation shows what it leaves."""

import json
import runpy
from pathlib import Path

from results_pages.generation_prompts import prompts_lines

from tests.support.tiny_pool import TEMPLATE, save_pool

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_prompts.py"


def test_pauses_batches_and_turns_are_measured_and_shown(tmp_path):
    save_pool(tmp_path, TEMPLATE)
    main = runpy.run_path(str(SCRIPT))["main"]
    record = json.loads(json.dumps(main(["--smoke", "--target", str(tmp_path / "target")])))
    assert list(record["pauses"]) == ["8", "128"]
    assert record["turns"]["kept"]["n_cached"] == 47
    assert record["turns"]["read again"]["n_cached"] == 0
    page = "\n".join(prompts_lines(record))
    assert "| 128: the prompt in one pass |" in page
    assert "| kept |" in page
