"""The bench of the choice on tiny collected folders: its figures, the clock beside them, its page, bad folders."""

import json
import runpy
from dataclasses import asdict
from pathlib import Path

import pytest
from results_pages.choice import choice_page

from bandits import FullInformationData
from speculative.collection.collect import collect
from speculative.measuring.wall_clock import Run
from speculative.pools.pool import Pool
from tests.support.tiny_pool import POOL, plain_costs, queries, save_pool

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_choice.py"
RULE = """
[[arms]]
kind = "rule"
name = "lookup_or_small"
clauses = [{ arm = "prompt_lookup_3", min_match_length = 2 }]
fallback = "draft_small_2"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two collected folders of one pool, and what a demo would have timed."""
    folder = tmp_path_factory.mktemp("choice")
    pool = Pool.load(save_pool(folder, pool=POOL.replace('"hashing"\nn_features = 8', '"hidden_state"') + RULE))
    costs = plain_costs("prompt_lookup", "draft_small", "no_draft")
    sides = [collect(queries(12, first), pool, folder / name, costs) for name, first in (("train", 0), ("test", 12))]
    _write_runs(folder / "runs.json", sides[1])
    return folder


def _write_runs(file, test, slower=None):
    """Let the clock say twice what replay says, but for one arm that is slower than any."""
    runs = [
        Run(query, "d", arm, 2 * seconds + (100 if arm == slower else 0), (1, 2))
        for query, row in zip(test.query_ids, test.costs, strict=True)
        for arm, seconds in zip(test.arm_names, row.tolist(), strict=True)
    ]
    runs.append(Run("another", "d", "transformers", 1.0, (1,)))
    file.write_text(json.dumps([asdict(run) for run in runs]))


def main(*arguments):
    return runpy.run_path(str(SCRIPT))["main"](["--folds", "3", *map(str, arguments)])


@pytest.fixture(scope="module")
def result(folder):
    return main(
        folder / "train", folder / "test", "--runs", folder / "runs.json", "--name", "tiny", "--results", folder
    )


def test_the_encoder_is_named_without_where_its_model_lay(folder, result):
    stored = FullInformationData.load(folder / "test").encoder
    assert str(folder) in stored
    assert result["encoder"] == f"hidden_state:{Path(stored).name}"


def test_every_arm_rule_policy_and_oracle_is_scored_by_total_seconds(folder, result):
    costs = FullInformationData.load(folder / "test").costs
    rows = {row["name"]: row for row in result["rows"]}
    assert {row["kind"] for row in rows.values()} == {"arm", "rule", "policy", "oracle"}
    assert rows["no_draft"]["seconds"] == pytest.approx(costs[:, 0].sum())
    assert rows["lookup_or_small"]["kind"] == "rule"
    assert rows["oracle per query"]["seconds"] == pytest.approx(costs.min(axis=1).sum())
    assert rows[result["best_fixed_arm"]]["over best fixed arm"]["value"] == 1
    assert result["best_fixed_arm"] != "lookup_or_small"
    assert min(row["seconds"] for row in rows.values()) == rows["clairvoyant per round"]["seconds"]
    assert {"LinUCB", "KNN", "LinTS", "REINFORCE", "best arm of the domain"} <= set(rows)
    assert {row["domain"] for row in result["by_domain"]} == {"words", "letters"}


def test_every_ingredient_is_taken_away_once(result):
    assert [row["variant"] for row in result["ablation"]] == [
        "as it is",
        "no shrinkage",
        "mean speedup instead of time saved",
        "every column of the contexts standardised",
        "no rules among the arms",
        "contexts of the mean state alone",
        "contexts of the last state alone",
        "contexts of the text features alone",
    ]
    assert all(set(row["policies"]) == {"LinUCB", "KNN", "LinTS", "REINFORCE"} for row in result["ablation"])


def test_replay_is_held_against_the_clock(folder, result):
    clock = result["clock"]
    assert clock["n_queries"] == 12
    assert clock["median_error_of_seconds"] == pytest.approx(0.5)
    assert clock["median_error_of_speed"] == pytest.approx(0)
    assert not clock["swapped"]
    test = FullInformationData.load(folder / "test")
    _write_runs(folder / "other.json", test, slower=result["best_fixed_arm"])
    other = main(folder / "train", folder / "test", "--runs", folder / "other.json", "--results", folder, "--name", "o")
    (folder / "choice_o.json").unlink()
    assert result["best_fixed_arm"] in {pair["slower"] for pair in other["clock"]["swapped"]}
    assert not {bar["name"]: bar for bar in other["bars"]}["pairs that replay puts in another order than the clock"][
        "holds"
    ]


def test_arms_that_were_not_timed_are_left_out_with_the_policies_that_take_them(folder):
    test = FullInformationData.load(folder / "test")
    few = test.select_arms(("no_draft", "lookup_or_small"))
    _write_runs(folder / "few.json", few)
    found = main(folder / "train", folder / "test", "--runs", folder / "few.json", "--results", folder, "--name", "few")
    (folder / "choice_few.json").unlink()
    assert set(found["clock"]["totals"]) == {"no_draft", "lookup_or_small"}
    assert found["clock"]["n_queries"] == 12


def test_every_mode_is_told_with_its_own_speed_and_texts(folder, result):
    runs = {run["mode"]: run for run in result["own_runs"]}
    costs = FullInformationData.load(folder / "test")
    assert set(runs) == set(costs.arm_names)  # the mode of a query that is not held out is left out
    seconds = dict(zip(costs.arm_names, 2 * costs.costs.sum(axis=0), strict=True))
    for name, run in runs.items():
        assert run["tokens_per_second"] == pytest.approx(24 / seconds[name])
        assert run["over no_draft"]["value"] == pytest.approx(seconds["no_draft"] / seconds[name])
        assert run["n_texts_of_no_draft"] == run["n_queries"] == 12


def test_modes_are_timed_for_the_bench(folder):
    held_out = folder / "held_out.jsonl"
    held_out.write_text("".join(query.model_dump_json(exclude_none=True) + "\n" for query in queries(12, 12)))
    out = folder / "timed"
    arguments = [folder / "pool.toml", folder / "train", held_out, "--n", 2, "--max-new-tokens", 3, "--folds", 3]
    arguments += ["--rounds"]
    runs = runpy.run_path(str(SCRIPT.with_name("time_choice.py")))["main"](list(map(str, [*arguments, "--out", out])))
    assert {"no_draft", "transformers", "SpeedSelector", "GatedSelector"} < {run.mode for run in runs}
    assert len({run.token_ids for run in runs if run.query_id == runs[0].query_id}) == 1
    assert [run for run in runs if run.mode.endswith("(real run)")]
    found = main(folder / "train", folder / "test", "--runs", out / "runs.json", "--results", folder, "--name", "timed")
    (folder / "choice_timed.json").unlink()
    assert found["clock"]["n_queries"] == 2


def test_the_page_shows_every_figure(folder, result):
    text = choice_page(folder).replace("\N{NO-BREAK SPACE}", " ")
    for row in result["rows"]:
        assert f"| {row['name']} | {row['tokens_per_second']:.1f} |" in text
    assert "![Every arm and policy over the best fixed arm, tiny](choice_tiny.png)" in text
    assert "| no shrinkage |" in text
    assert "wrong by 50.0% (median)" in text
    assert (folder / "choice_tiny.png").is_file()


def test_folders_that_do_not_belong_together_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="must share no prompt"):
        main(folder / "train", folder / "train", "--results", tmp_path)
    with pytest.raises(ValueError, match=r"runs\.json of a finished demo"):
        main(folder / "train", folder / "test", "--runs", tmp_path / "none.json", "--results", tmp_path)
    (tmp_path / "runs.json").write_text("[]")
    with pytest.raises(ValueError, match="no held-out query was timed with no_draft"):
        main(folder / "train", folder / "test", "--runs", tmp_path / "runs.json", "--results", tmp_path)
    pool = Pool.load(folder / "pool.toml")
    dearer = plain_costs("prompt_lookup", "draft_small", "no_draft", token_s=0.2)
    collect(queries(4, 24), pool, tmp_path / "dearer", dearer)
    with pytest.raises(ValueError, match="priced by one cost profile"):
        main(folder / "train", tmp_path / "dearer", "--results", tmp_path)
