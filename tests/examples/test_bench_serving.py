"""The benches of the front door and of its bounds run, lose nothing, and say what they are meant to reach."""

import json
import runpy
from argparse import Namespace
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "examples" / "benchmarks"


def held(script, capsys):
    runpy.run_path(str(SCRIPTS / script))["main"](["--smoke"])
    report = json.loads(capsys.readouterr().out)
    return {bar["name"]: bar["holds"] for bar in report["bars"]}


def test_no_request_is_lost_or_crossed_and_each_has_its_decision(capsys):
    bars = held("bench_serving.py", capsys)
    assert all(bars[name] for name in ("requests lost", "requests crossed", "decisions missing in the log"))
    assert len(bars) == 8


def test_the_bound_is_wrong_as_seldom_as_it_says_on_every_kind_of_stream(capsys):
    assert all(held("bench_confidence_sequence.py", capsys).values())


def test_the_policy_is_compared_with_each_upstream_on_every_prompt(capsys):
    runpy.run_path(str(SCRIPTS / "bench_serving_engines.py"))["main"](["--smoke"])
    report = json.loads(capsys.readouterr().out.partition("\n")[2])
    figures = report["figures"]
    assert (figures["n_prompts"], figures["shadow_decisions"], figures["shadow_valued_on"]) == (6, 40, 20)
    assert figures["best_fixed"] in ("plain", "ngram")
    assert all(len(figures[f"policy_over_{side}"]) == 3 for side in ("plain", "ngram"))
    assert len(report["bars"]) == 2


def test_a_server_that_is_killed_loses_no_decision_and_learns_nothing_twice(capsys):
    runpy.run_path(str(SCRIPTS / "check_serving_kills.py"))["main"](["--smoke"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["answered"] >= 200
    assert (figures["missing"], figures["repeated"], figures["learned_differently"]) == (0, 0, 0)


def test_kills_are_counted_from_the_folder_and_other_settings_are_refused(tmp_path):
    script = runpy.run_path(str(SCRIPTS / "check_serving_kills.py"))
    settings = {"seed": 0, "n_clients": 4}
    lives = [{**settings, "killed": killed, "answered": ["a-0"]} for killed in (True, True, False)]
    (tmp_path / "lives.jsonl").write_text("".join(json.dumps(life) + "\n" for life in lives))

    def gone_on(**asked):
        return script["answer_and_kill"](tmp_path, 0, Namespace(**{**settings, "n_kills": 2, **asked}))

    assert gone_on() == lives
    assert script["n_killed"](lives) == 2
    for other in ({"seed": 1}, {"n_clients": 5}, {"n_kills": 1}):
        with pytest.raises(ValueError, match="give another --folder"):
            gone_on(**other)
