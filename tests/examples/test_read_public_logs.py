"""The recipes for public logs read tiny files in the published form, in as few lines as the page promises."""

import inspect
import json
import runpy
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandits import FullInformationData, LoggedData

RECIPES = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "tasks" / "read_public_logs.py"))
NAMES = ("routerbench", "routellm", "llmrouter", "sprout", "open_bandit")
MOST_LINES = 6


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_takes_six_lines_at_most(name):
    assert len(inspect.getsource(RECIPES[name]).rstrip().splitlines()) <= MOST_LINES


def test_routerbench(tmp_path):
    columns = {"sample_id": ["a.0", "b.1"], "prompt": ["sort", "add"], "eval_name": ["mbpp", "gsm8k"]}
    for arm, score, cost in (("gpt-4", [1.0, 0.5], [0.01, 0.02]), ("mistral", [0.0, 0.25], [1e-4, 2e-4])):
        columns |= {arm: score, f"{arm}|model_response": ["['x']", "['y']"], f"{arm}|total_cost": cost}
    pd.DataFrame(columns | {"oracle_model_to_route_to": ["gpt-4", "mistral"]}).to_pickle(tmp_path / "bench.pkl")
    data = RECIPES["routerbench"](tmp_path / "bench.pkl")
    assert (data.arm_names, data.query_ids, data.domains) == (("gpt-4", "mistral"), ("a.0", "b.1"), ("mbpp", "gsm8k"))
    assert data.rewards.tolist() == [[1.0, 0.0], [0.5, 0.25]]
    assert data.costs.tolist() == [[0.01, 1e-4], [0.02, 2e-4]]


def test_routellm(tmp_path):
    head = "prompt,mixtral-8x7b-instruct-v0.1,gpt-4-1106-preview,mixtral-8x7b-instruct-v0.1_response"
    (tmp_path / "gsm8k.csv").write_text(f'{head}\n"sort, then add",False,True,"a\nb"\nadd,True,True,c\n')
    data = RECIPES["routellm"](tmp_path / "gsm8k.csv")
    assert data.rewards.tolist() == [[0.0, 1.0], [1.0, 1.0]]


def test_llmrouter(tmp_path):
    rows = [
        {
            "task_name": "gsm8k",
            "query": f"add {query}",
            "model_name": arm,
            "performance": value,
            "embedding_id": query,
            "choices": None,
        }
        for query in (0, 1)
        for arm, value in (("small", 0.0), ("large", 1.0))
    ]
    (tmp_path / "routing.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = RECIPES["llmrouter"](tmp_path / "routing.jsonl")
    assert isinstance(data, FullInformationData)
    assert (data.arm_names, data.rewards.tolist()) == (("large", "small"), [[1.0, 0.0], [1.0, 0.0]])


def test_sprout(tmp_path):
    answers = [{"num_input_tokens": 9, "num_output_tokens": 5, "response": "x", "score": score} for score in (0.5, 1.0)]
    columns = {"key": [1, 2], "dataset": ["math", "rag"], "prompt": ["add", "find"], "golden_answer": ["1", "2"]}
    pq.write_table(pa.table(columns | {"gpt-4o": answers, "granite": answers[::-1]}), tmp_path / "sprout.parquet")
    data = RECIPES["sprout"](tmp_path / "sprout.parquet")
    assert (data.arm_names, data.domains) == (("gpt-4o", "granite"), ("math", "rag"))
    assert data.rewards.tolist() == [[0.5, 1.0], [1.0, 0.5]]


def test_open_bandit(tmp_path):
    head = ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2"
    rows = (
        "0,2019-11-24 00:00:00.5+00:00,14,3,0,0.25,ce,03,7b,9b,0\n1,2019-11-24 00:00:01+00:00,9,1,1,0.5,81,03,c2,9b,1"
    )
    (tmp_path / "men.csv").write_text(f"{head},user_feature_3,user-item_affinity_0\n{rows}\n")
    log = RECIPES["open_bandit"](tmp_path / "men.csv")
    assert isinstance(log, LoggedData)
    assert (log.arm_names, log.actions.tolist(), log.propensities.tolist()) == (("9", "14"), [1, 0], [0.25, 0.5])
    assert (log.times[1] - log.times[0], log.contexts[:, 0].tolist()) == (0.5, [3.0, 1.0])
