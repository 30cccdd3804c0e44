import json

import pytest
from transformers import AutoModelForCausalLM

from arms import Query
from bandits import load_policy
from bandits.testing import example_data
from speculative.demo import demo
from speculative.demo.demo import run_demo
from speculative.demo.learning import FIXED, choose_policy, learn
from speculative.demo.queries import demo_queries, own_queries, pick_evenly
from speculative.demo.size import DemoSize
from speculative.pools.spec import read_pool_spec
from tests.support.tiny_pool import POOL, queries, save_pool

N_TIMED = 4
RULE = """
[[arms]]
kind = "rule"
name = "lookup_or_small"
clauses = [{ arm = "prompt_lookup_7", min_match_length = 2 }]
fallback = "draft_small_2"
"""


def test_prompts_are_picked_in_turn_from_each_domain():
    asked = [Query(id=f"{domain}{i}", prompt="x", domain=domain) for domain in "ab" for i in range(3)]
    assert [query.id for query in pick_evenly(asked, 4)] == ["a0", "b0", "a1", "b1"]
    assert [query.id for query in pick_evenly([*asked[:1], *asked[3:]], 9)] == ["a0", "b0", "b1", "b2"]


def test_the_demo_holds_150_prompts_or_more_over_six_domains_or_more():
    train, test = demo_queries()
    assert len(train) + len(test) >= 150
    assert len({query.domain for query in train}) >= 6
    assert not {query.text for query in train} & {query.text for query in test}


def test_own_prompts_are_split_by_domain_or_by_file_and_never_shared(tmp_path):
    def write(name, numbers):
        rows = [{"id": f"{name}{i}", "prompt": f"Say {i}", "domain": "ab"[i % 2]} for i in numbers]
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
        return tmp_path / name

    train, test = own_queries(write("all", range(7)))
    assert {query.text for query in train} | {query.text for query in test} == {f"Say {i}" for i in range(7)}
    assert [len(train), len(test)] == [4, 3]
    train, test = own_queries(write("one", range(4)), write("two", range(4, 6)))
    assert [query.text for query in test] == ["Say 4", "Say 5"]
    with pytest.raises(ValueError, match="share no prompt with"):
        own_queries(write("one", range(4)), write("two", range(3, 6)))
    with pytest.raises(ValueError, match="two prompts of a domain"):
        own_queries(write("few", range(1)))


@pytest.fixture
def tiny_demo(tmp_path, monkeypatch):
    """The arguments of a demo of 20 prompts on a tiny pool."""
    save_pool(tmp_path, pool=POOL + RULE)
    asked = [query.model_copy(update={"domain": "ab"[i % 2]}) for i, query in enumerate(queries(20))]
    size = DemoSize(max_new_tokens=12, least_timed=N_TIMED, most_timed=N_TIMED, timed_by_transformers=2)
    monkeypatch.setattr(demo, "demo_queries", lambda: (asked[:14], asked[14:]))
    monkeypatch.setattr(demo, "DEFAULT_CACHE", tmp_path / "cache")
    monkeypatch.setattr(demo, "choose_size", lambda *arguments: size)
    return {"out": tmp_path / "out", "spec": read_pool_spec(tmp_path / "pool.toml")}


def test_the_demo_runs_end_to_end_on_a_tiny_pool(tiny_demo):
    told: dict[str, tuple[int, int]] = {}
    report = run_demo(**tiny_demo, on_progress=lambda stage, done, total: told.update({stage: (done, total)}))
    out = tiny_demo["out"]
    assert report.equality["different"] == 0
    # four arms, the policy, the choice per round, transformers three ways
    assert sum(report.equality.values()) == N_TIMED * 6 + 3 * 2
    assert (report.n_timed, report.n_transformers, report.max_new_tokens) == (N_TIMED, 2, 12)
    assert "times as fast as no draft" in report.conclusion
    assert "times as fast as always" in report.conclusion
    assert "A choice at every round, learned from the same texts, is" in report.conclusion
    row = report.evaluation["per round"]
    assert (row.kind, sum(row.arm_shares.values())) == ("rounds", pytest.approx(1.0))
    assert row.arm_shares["lookup_or_small"] == 0
    kinds = [one.kind for one in report.evaluation]
    assert kinds == sorted(kinds, key=["policy", "rounds", "arm", "oracle"].index)
    assert report.speeds["per round"] > 0
    is_rule = report.evaluation.best_fixed_arm == "lookup_or_small"
    assert ("the best arm that is no rule" in report.conclusion) == is_rule
    assert told["measuring, prompts"] == (N_TIMED, N_TIMED)
    saved = json.loads((out / "report.json").read_text())
    assert saved["conclusion"] == report.conclusion
    assert set(saved["picks"]["LinUCB"]) == {"a", "b"}
    assert set(report.held_out) == {"LinUCB", "KNN", "LinTS", "REINFORCE"}
    for name in ("speed.png", "speed_by_domain.png", "picks_by_domain.png", "report.md", "runs.json", "table.txt"):
        assert (out / name).stat().st_size > 0
    page = (out / "report.md").read_text()
    assert report.conclusion in page
    assert "| no_draft |" in page
    assert "| per round |" in page
    assert "\nper round " in (out / "table.txt").read_text()
    assert (
        load_policy(out / "policies" / "knn.safetensors").arm_names
        == load_policy(out / "policies" / "best_fixed_arm.safetensors").arm_names
    )


def test_a_stopped_demo_keeps_policies_and_table_and_goes_on_with_the_next_prompt(tiny_demo, monkeypatch):
    class Stopped(Exception):
        pass

    def stop_at_third(stage: str, done: int, total: int) -> None:
        if stage == "measuring, prompts" and done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        run_demo(**tiny_demo, on_progress=stop_at_third)
    out = tiny_demo["out"]
    assert (out / "policies" / "linucb.safetensors").is_file()
    assert (out / "evaluation.json").is_file()
    first = sorted((out / "timed").glob("prompt-*.json"))
    kept = {file.name: file.read_bytes() for file in first}
    assert len(kept) == 3
    monkeypatch.setattr(demo, "choose_size", lambda *arguments: pytest.fail("the size was chosen before"))
    monkeypatch.setattr(demo, "cached_costs", lambda *arguments: pytest.fail("the costs were measured before"))
    assert run_demo(**tiny_demo).n_timed == N_TIMED
    assert {name: (out / "timed" / name).read_bytes() for name in kept} == kept
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: pytest.fail("all was timed before"))
    assert run_demo(**tiny_demo).n_timed == N_TIMED


@pytest.mark.parametrize("name", ["size.json", "costs.json"])
def test_a_damaged_file_of_a_stopped_demo_is_refused_by_name(tiny_demo, name):
    tiny_demo["out"].mkdir()
    (tiny_demo["out"] / name).write_text("{")
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        run_demo(**tiny_demo)


def test_the_policy_is_chosen_among_the_learned_by_prompts_left_out():
    data = example_data(n_rows=24)
    policies = learn(data, seed=0)
    choice = choose_policy(policies, data, seed=0)
    assert set(choice.scores) == set(policies) - {FIXED}
    assert {score.n_folds for score in choice.scores.values()} == {len(data)}
    gains = {name: score.conclusion.estimate.value for name, score in choice.scores.items()}
    assert gains[choice.name] == max(gains.values())
