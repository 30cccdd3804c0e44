import json
from pathlib import Path

import pytest

from arms import Query
from speculative.demo import demo
from speculative.demo.demo import DemoSize, demo_queries, pick_evenly, run_demo
from tests.support.tiny_pool import queries, save_pool


def test_prompts_are_picked_in_turn_from_each_domain():
    asked = [Query(id=f"{domain}{i}", prompt="x", domain=domain) for domain in "ab" for i in range(3)]
    assert [query.id for query in pick_evenly(asked, 4)] == ["a0", "b0", "a1", "b1"]
    assert [query.id for query in pick_evenly([*asked[:1], *asked[3:]], 9)] == ["a0", "b0", "b1", "b2"]


def test_the_demo_holds_150_prompts_or_more_over_six_domains_or_more():
    train, test = demo_queries()
    assert len(train) + len(test) >= 150
    assert len({query.domain for query in train}) >= 6
    assert not {query.text for query in train} & {query.text for query in test}


def test_the_demo_runs_end_to_end_on_a_tiny_pool(tmp_path, monkeypatch, capsys):
    save_pool(tmp_path)
    asked = [query.model_copy(update={"domain": "ab"[i % 2]}) for i, query in enumerate(queries(20))]
    monkeypatch.setattr(demo, "demo_queries", lambda: (asked[:14], asked[14:]))
    monkeypatch.setattr(demo, "DEFAULT_CACHE", tmp_path / "cache")
    monkeypatch.setattr(demo, "DemoSize", lambda: DemoSize(n_timed=4, n_transformers=2, max_new_tokens=12))
    report = run_demo(tmp_path / "out", pool_file=Path(tmp_path / "pool.toml"))
    assert report.equality["different"] == 0
    assert report.equality["identical"] + report.equality["tie"] == 4 * 3 + 4 * 4 + 2 * 2
    assert report.n_transformers == 2
    assert "times as fast as no draft" in report.verdict
    saved = json.loads((tmp_path / "out" / "report.json").read_text())
    assert saved["verdict"] == report.verdict
    assert set(saved["picks"]["LinUCB"]) == {"a", "b"}
    for name in ("speed_by_domain.png", "picks_by_domain.png", "report.md", "runs.json"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    page = (tmp_path / "out" / "report.md").read_text()
    assert report.verdict in page
    assert "| no_draft |" in page
    assert "by the clock" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["LinUCB", "REINFORCE", "LinTS", "best fixed arm"])
def test_every_policy_is_learned(mode):
    from bandits.testing import example_data

    assert mode in demo.learn(example_data(), seed=0)
