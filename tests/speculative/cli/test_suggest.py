"""`draftpick profile --suggest`."""

import json
import tomllib
from dataclasses import replace

import pytest

from speculative.collection.collect import collect
from speculative.measuring.cost_profile import DraftCost
from speculative.pools.pool import Pool
from tests.support.command_runner import pool_of, refused, run_cli
from tests.support.tiny_pool import plain_costs, queries, save_pool

COSTS = replace(
    plain_costs(),
    drafts={"prompt_lookup": DraftCost(0.001, 0.0, 0.0), "draft_small": DraftCost(0.01, 0.4, 0.001)},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suggest")
    pool = Pool.load(save_pool(folder))
    collect(queries(6), pool, folder / "data", COSTS)
    return folder


def test_rules_and_arithmetic_are_printed_as_a_pool_file_says_them_and_written_as_a_whole_one(folder, tmp_path):
    out = tmp_path / "pool.toml"
    shown = run_cli("profile", *pool_of(folder), "--suggest", folder / "data", "--out", out).stdout
    entries, said = shown.split("\n\nmilliseconds of a target pass")
    written = tomllib.loads(entries)
    rules = [arm for arm in written["arms"] if arm["kind"] == "rule"]
    assert rules
    assert "held out" in " ".join(said.split())
    assert "on 6 traced texts" in said
    pool = Pool.load(out)  # the models are found from another folder
    assert [rule["name"] for rule in rules] == list(pool.arms.names)[-len(rules) :]
    assert pool.arms.names[0] == "no_draft"
    plain = pool.generate("abcabcabc", policy="no_draft").text
    assert pool.generate("abcabcabc", policy=rules[0]["name"]).text == plain


def test_without_data_arithmetics_are_compared_at_an_acceptance(folder):
    options = ("--suggest", "--dtype", "float32", "--weights", "dense", "--json")
    found = json.loads(run_cli("profile", *pool_of(folder), *options, "--acceptance", "0.5").stdout)
    [row] = found["arithmetic"]["targets"]
    assert found["arithmetic"]["expected"].startswith("at acceptance 0.5, 20 new tokens")
    assert row["arithmetic"] == found["arithmetic"]["chosen"] == "float32 dense"
    assert list(row["pass_s"]) == ["1", "4", "9", "17"]
    assert list(row["tokens_per_s"])[:3] == ["no_draft", "prompt_lookup_3", "prompt_lookup_7"]
    assert (found["pool"]["dtype"], found["pool"]["weights"]) == ("float32", "dense")
    assert any("float32 int4" in line for line in found["arithmetic"]["refused"])


def test_what_cannot_be_suggested_from_is_refused(folder, tmp_path):
    assert "holds no data that collect wrote" in refused("profile", *pool_of(folder), "--suggest", tmp_path)
    assert "--out goes with --suggest" in refused("profile", *pool_of(folder), "--out", tmp_path / "p.toml")
    assert "DATA goes with --suggest" in refused("profile", tmp_path, *pool_of(folder))
    there = folder / "pool.toml"
    assert "exists already" in refused("profile", *pool_of(folder), "--suggest", folder / "data", "--out", there)
    both = ("--suggest", folder / "data", "--acceptance", "0.5")
    assert "--acceptance is for a suggestion without DATA" in refused("profile", *pool_of(folder), *both)
    beyond = ("--suggest", "--acceptance", "1.5")
    assert "acceptance must be in [0, 1), got 1.5" in refused("profile", *pool_of(folder), *beyond)


def test_what_no_device_here_computes_is_refused_by_name_before_anything_is_measured(folder):
    suggest = ("profile", *pool_of(folder), "--suggest")
    fp8 = refused(*suggest, folder / "data", "--weights", "fp8")
    assert "must leave one of float32 dense, " in fp8
    assert "compared on device 'cpu', got any fp8" in fp8
    assert "device 'cuda:99' cannot be used here" in refused(*suggest, "--device", "cuda:99")
    assert "graphs must be 'auto' or 'off' on device 'cpu'" in refused(*suggest, "--dtype", "float32", "--graphs", "on")
