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


def test_rules_are_printed_as_entries_of_a_pool_file_and_written_as_a_whole_one(folder, tmp_path):
    out = tmp_path / "pool.toml"
    shown = run_cli("profile", *pool_of(folder), "--suggest", folder / "data", "--out", out).stdout
    entries, said = shown.split("\n\narms worth keeping: ")
    rules = tomllib.loads(entries)["arms"]
    assert {rule["kind"] for rule in rules} == {"rule"}
    assert "held out" in " ".join(said.split())
    pool = Pool.load(out)  # the models are found from another folder
    assert [rule["name"] for rule in rules] == list(pool.arms.names)[-len(rules) :]
    assert pool.arms.names[0] == "no_draft"
    plain = pool.generate("abcabcabc", policy="no_draft").text
    assert pool.generate("abcabcabc", policy=rules[0]["name"]).text == plain
    result = json.loads(
        run_cli("profile", "--pool", out, *pool_of(folder)[2:], "--suggest", folder / "data", "--json").stdout
    )
    assert all(rule["name"] not in pool.arms.names for rule in result["rules"])


def test_what_cannot_be_suggested_from_is_refused(folder, tmp_path):
    assert "holds no data that collect wrote" in refused("profile", *pool_of(folder), "--suggest", tmp_path)
    assert "--out goes with --suggest" in refused("profile", *pool_of(folder), "--out", tmp_path / "p.toml")
    there = folder / "pool.toml"
    assert "exists already" in refused("profile", *pool_of(folder), "--suggest", folder / "data", "--out", there)
