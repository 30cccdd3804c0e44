"""What the pages of docs/integrations show runs, in as few lines as they promise."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

from tiny_model import save_tiny_model

from speculative import Pool
from speculative.collection.collect import collect
from speculative.serving.vllm_proposer import Proposer
from tests.support.tiny_pool import plain_costs, queries, save_pool

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "examples" / "integrations"
MOST_LINES = 10


def test_a_choice_in_transformers_takes_ten_lines_and_serves_every_query(tmp_path, capsys):
    script = SCRIPTS / "choose_in_transformers.py"
    shown = re.search(r"\[start:task\]\n(.*)# --8<-- \[end:task\]", script.read_text(), re.DOTALL)[1]
    assert len([line for line in shown.splitlines() if line.strip()]) <= MOST_LINES
    runpy.run_path(str(script))["main"]([save_tiny_model(tmp_path / "model"), "--n", "6", "--max-new-tokens", "4"])
    counts = dict(re.findall(r"(\w+) (\d+)", capsys.readouterr().out))
    assert set(counts) <= {"no_draft", "prompt_lookup_7"}
    assert sum(map(int, counts.values())) == 6


def test_rounds_learned_from_look_ups_are_read_by_the_proposer_for_vllm(tmp_path, capsys):
    arms = (SCRIPTS / "pool_lookups.toml").read_text().partition("[[arms]]")
    save_pool(tmp_path, pool=f'target = "target"\nmax_new_tokens = 20\n[encoder]\nkind = "hashing"\n[[arms]]{arms[2]}')
    pool = Pool.load(tmp_path / "pool.toml")
    collect(queries(4), pool, tmp_path / "collected", plain_costs("prompt_lookup", "suffix"))
    file = tmp_path / "rounds.safetensors"
    script = str(SCRIPTS / "learn_rounds_for_vllm.py")
    runpy.run_path(script)["main"]([str(tmp_path / "collected"), "--out", str(file)])
    assert str(file) in capsys.readouterr().out
    proposer = Proposer(
        SimpleNamespace(
            speculative_config=SimpleNamespace(num_speculative_tokens=7),
            model_config=SimpleNamespace(max_model_len=64),
            additional_config={"draftpick": {"policy": str(file)}},
        )
    )
    assert proposer.arm_names == tuple(pool.arms.names) == ("no_draft", "prompt_lookup_3", "suffix_7")


def test_the_check_inside_vllm_asks_for_every_arm_that_is_drawn_and_for_draft_tokens():
    script = runpy.run_path(str(SCRIPTS / "check_vllm.py"))
    n, arms, tokens = len(script["PROMPTS"]), tuple(script["plans"]()), script["DRAFT_TOKENS"]
    good = {"rounds by arm": dict.fromkeys(arms, 3), tokens: 9}
    assert script["faults"](n, good, arms) == []
    assert script["faults"](n - 1, good, arms) == ["the proposer changed 1 texts"]
    assert script["faults"](n, {**good, "rounds by arm": {"no_draft": 9}}, arms) == [
        "arm prompt_lookup_3 was never chosen",
        "arm suffix_7 was never chosen",
    ]
    assert script["faults"](n, {**good, tokens: 0}, arms) == ["vLLM counted no draft token"]
    assert script["faults"](n, {"rounds by arm": {"no_draft": 9}}, ()) == []
    assert script["faults"](n, {"rounds by arm": {}}, ()) == ["the proposer was never asked"]
