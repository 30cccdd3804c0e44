"""The bench of heads for several domains, on a tiny target: what it tells is what the heads' folders say."""

import json
import runpy
from pathlib import Path

import pytest

from tests.support.tiny_pool import queries, save_pool, save_queries

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_domain_heads.py"


def test_heads_are_made_and_told_with_what_more_text_gives(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from results_pages.drafts import drafts_page

    target, main = save_pool(tmp_path).parent / "target", runpy.run_path(str(SCRIPT))["main"]
    sides = [save_queries(tmp_path / name, queries(4, first)) for name, first in (("train", 0), ("held_out", 100))]
    out = ["--out", str(tmp_path / "heads"), "--results", str(tmp_path)]
    few = [
        "--domains",
        "words,generalist_50,generalist",
        "--epochs",
        "1",
        "--vocabulary",
        "16",
        "--max-new-tokens",
        "4",
    ]
    main([str(target), *map(str, sides), *out, *few])
    result = main([str(target), *map(str, sides), *out, "--read"])
    assert {name: list(row) for name, row in result["matrix"].items()} == {
        name: ["letters", "words"] for name in ("generalist", "words")
    }
    half, whole = result["curve"]
    assert half["n_train_tokens"] < whole["n_train_tokens"] == result["heads"]["generalist"]["n_train_tokens"]
    assert (half["begun_from"], result["heads"]["words"]["settings"]["start"]) == (None, "generalist")
    [match, tokens] = result["bars"]
    assert match["value"] == max(rate["value"] for row in result["matrix"].values() for rate in row.values())
    assert tokens["holds"] == (tokens["value"] >= 1.9)
    assert str(tmp_path) not in json.dumps({**result, "target": ""})
    (tmp_path / "drafts.json").write_text(json.dumps({"matrix": {}, "machine": result["machine"]}))
    page = drafts_page(tmp_path)
    assert "| words |" in page
    assert "2 of letters, 2 of words" in page
    with pytest.raises(SystemExit, match="holds no head"):
        main([str(target), *map(str, sides), "--out", str(tmp_path / "none"), "--read"])
