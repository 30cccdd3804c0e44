"""The bench of a choice per round on tiny collected folders: what can be known of its figures in advance."""

import json
import runpy
from pathlib import Path

import numpy as np

from speculative.collection.collect import collect
from speculative.collection.tracing import trace_queries
from speculative.pools.pool import Pool
from speculative.protocols.draft_trace import DraftTrace
from tests.support.tiny_pool import POOL, plain_costs, queries, save_pool

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_rounds.py"


def test_a_choice_per_round_lies_below_the_clairvoyant_one_and_no_worse_than_it_can(tmp_path):
    pool = Pool.load(save_pool(tmp_path, pool=POOL.replace('"hashing"\nn_features = 8', '"hidden_state"')))
    costs = plain_costs("prompt_lookup", "draft_small", "no_draft")
    for name, first in (("train", 0), ("test", 12)):
        collect(queries(12, first), pool, tmp_path / name, costs)
    folders = (str(tmp_path / "train"), str(tmp_path / "test"))
    asked = [*folders, "--name", "tiny", "--results", str(tmp_path), "--smoke", "--without", "draft_small_2"]
    result = runpy.run_path(str(SCRIPT))["main"](asked)
    times = {name: row["value"] for name, row in result["times_best_fixed_arm"].items()}
    assert times[result["best_fixed_arm"]] == 1
    assert set(times) >= {"no_draft", "KNN per query", "SpeedSelector", "GatedSelector", "EXP3Spec", "oracle per query"}
    assert max(times.values()) == times["clairvoyant per round"]
    assert times["oracle per query"] >= 1
    [without] = result["without_arms"]
    assert min(without["times_as_fast"][name]["value"] for name in ("oracle per query", "clairvoyant per round")) >= 1
    text = (tmp_path / "rounds_tiny.json").read_text()
    written = json.loads(text)
    assert (written["n_train"], written["n_test"]) == (12, 12)
    assert written["bars"][0]["value"] == times["GatedSelector"]
    assert written["bars"][0]["holds"] == (times["GatedSelector"] >= 1.12 and written["bars"][0]["low"] > 1)
    assert "bench_rounds.py data/train data/test --name tiny" in written["command"]
    assert str(tmp_path) not in text


def test_what_a_trace_tells_of_stopping_early_is_what_the_draft_then_does(tmp_path):
    _, stopped = _additions()
    pool = Pool.load(save_pool(tmp_path))
    [draft] = [arm.draft for arm in pool.arms if arm.draft.name == "draft_small"]
    [trace] = trace_queries(queries(1), pool.arms, pool.encoder)
    found, real = (
        one.trace(trace.prompt_ids, trace.new_ids, trace.max_draft_length)
        for one in (draft, draft.stopping_below(0.05))
    )
    told = stopped(found, 0.05)
    assert told.stops
    assert (told.proposed < found.proposed).any()
    assert np.array_equal(told.accepted, real.accepted)
    assert (told.proposed >= real.proposed).all()
    known = told.proposed <= told.accepted
    assert np.array_equal(told.proposed[known], real.proposed[known])


def test_a_draft_that_is_kept_up_tells_how_much_of_the_text_it_would_have_foretold():
    kept_up, _ = _additions()
    accepted = np.array([0, 2, 1, 0, 3, 2, 1], dtype=np.int32)
    found = kept_up(DraftTrace(np.full(7, 3, dtype=np.int32), accepted))
    assert found.match_lengths is not None
    assert (found.match_lengths - 1).tolist() == [0, 0, 1, 2, 0, 1, 2]


def _additions():
    names = runpy.run_path(str(SCRIPT.parent / "rounds_bench" / "additions.py"))
    return names["kept_up"], names["stopped"]


def test_the_time_of_a_choice_is_taken_at_every_round():
    result = runpy.run_path(str(SCRIPT.with_name("bench_round_choice.py")))["main"](["--smoke"])
    assert result["n_arms"] == 13
    assert 0 < result["n_rounds"] <= 39
    [bar] = result["bars"]
    assert bar["holds"] == (bar["value"] <= bar["bar"])
