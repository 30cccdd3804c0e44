"""Collect, learn a choice per round, value it, and generate with it: the whole way of a user."""

import json

import pytest

from speculative.cli import options
from speculative.pools.pool import Pool
from tests.support.command_runner import make_place, pool_of, refused, run_cli
from tests.support.tiny_pool import queries


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = make_place(tmp_path_factory.mktemp("cli"))
    run_cli("train", folder / "train", "--rounds", "--out", folder / "rounds.safetensors")
    return folder


def test_a_choice_per_round_is_learned_and_generates_the_targets_text(place):
    prompt = queries(1)[0].prompt
    expected = Pool.load(place / "pool.toml").arms["no_draft"].pull(queries(1)[0], 0)
    answer = json.loads(
        run_cli("generate", prompt, *pool_of(place), "--rounds", place / "rounds.safetensors", "--json").stdout
    )
    assert answer["text"] == expected.text
    assert sum(answer["rounds_by_arm"].values()) >= 1
    assert answer["probabilities"] is None


def test_it_is_valued_on_held_out_prompts_beside_the_rest(place, tmp_path):
    shown = run_cli(
        "evaluate", place / "test", "--rounds", "--train-data", place / "train", "--out", tmp_path, "--json"
    )
    found = json.loads(shown.stdout)
    assert found["n_queries"] == 8
    assert {"GatedSelector", "SpeedSelector", "UCBSpec", "HedgeSpec"} <= set(found["selectors"])
    assert found["query_oracle"]["value"] <= found["clairvoyant"]["value"]
    assert json.loads((tmp_path / "rounds.json").read_text()) == found
    assert (tmp_path / "rounds.txt").read_text().splitlines()[-1] == found["conclusion"]


def test_what_does_not_fit_is_refused_in_one_line(place, tmp_path):
    train, test = place / "train", place / "test"
    assert "training prompts too" in refused("evaluate", train, "--rounds", "--train-data", train)
    assert "give no option but" in refused("evaluate", test, "--rounds", "--policy", place / "lin_ucb.safetensors")
    assert "give --policy" in refused("evaluate", test)
    assert "leave out --policy" in refused("train", train, "--rounds", "--policy", "knn", "--out", tmp_path)
    for given in (("--folds", 3), ("--propensities", "estimated"), ("--unknown-levels", "own_column")):
        assert "--rounds learns from" in refused("train", train, "--rounds", *given, "--out", tmp_path)
    assert "no finished collection" in refused("train", tmp_path, "--rounds", "--out", tmp_path / "x")
    wrong = ("generate", "a", *pool_of(place), "--rounds")
    assert "holds a LinUCB, not a GatedSelector" in refused(*wrong, place / "lin_ucb.safetensors")
    assert "exactly one of" in refused(*wrong, place / "rounds.safetensors", "--arm", "no_draft")
    text = (place / "pool.toml").read_text()
    (place / "other.toml").write_text(text.replace("draft_length = 7", "draft_length = 6"))
    other = ("--pool", place / "other.toml", "--cache", place / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            options, "pool_costs", lambda *_: pytest.fail("the machine is measured for a file that does not fit")
        )
        assert "arm 'prompt_lookup_7'" in refused("generate", "a", *other, "--rounds", place / "rounds.safetensors")
