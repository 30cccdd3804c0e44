"""Collect, learn a choice per round, value it, and generate with it: the whole way of a user."""

import json
from contextlib import contextmanager

import pytest

from bandits.policies import codec
from speculative.cli import options
from speculative.cli.served_pool import selectors_of
from speculative.pools.pool import Pool
from speculative.serving.engine_arm import EngineArm
from speculative.serving.engine_worker import EngineWorker
from speculative.serving.metrics import Metrics
from tests.support.command_runner import make_place, pool_of, refused, run_cli
from tests.support.front_door import front_door, records
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


@contextmanager
def stepping(pool):
    worker = EngineWorker(pool)
    try:
        yield worker
    finally:
        worker.stop()


def served(place, pool="pool.toml", rounds="rounds.safetensors", *more):
    options = ("--cache", place / "cache", "--state", place / "state", "--port", 0)
    return ("serve", place / pool, *options, "--rounds", place / rounds, *more)


def test_a_server_refuses_rounds_of_another_pool_another_target_or_other_records_at_its_start(place):
    text = (place / "pool.toml").read_text()
    (place / "shorter.toml").write_text(text.replace("draft_length = 7", "draft_length = 6"))
    (place / "turned.toml").write_text(
        text.replace('target = "target"', 'target = "small"').replace('"small"\ndraft_length', '"target"\ndraft_length')
    )
    (place / "upstreams.toml").write_text('[[arms]]\nkind = "upstream"\nname = "a"\nurl = "http://127.0.0.1:9"\n')
    header, tensors = codec.read_file(place / "rounds.safetensors")
    codec.write_file(place / "old.safetensors", header | {"record_version": 1}, tensors)
    assert "arm 'prompt_lookup_7'" in refused(*served(place, "shorter.toml"))
    assert "learned from texts of 'target', the pool's target is 'small'" in refused(*served(place, "turned.toml"))
    assert "round records of version 1" in refused(*served(place, rounds="old.safetensors"))
    assert "holds a LinUCB, not a GatedSelector" in refused(*served(place, rounds="lin_ucb.safetensors"))
    assert "--rounds and --selector need a pool with a target" in refused(*served(place, "upstreams.toml"))
    twice = ("--selector", "tap_out", "--selector", "tap_out")
    assert "an arm before it has this name" in refused(*served(place, "pool.toml", "rounds.safetensors", *twice))


def test_a_choice_per_round_is_served_as_an_arm_with_the_targets_text(place, tmp_path):
    pool = Pool.load(place / "pool.toml", place / "cache")
    selectors, metrics = selectors_of(pool, place / "rounds.safetensors", ["tap_out"], place / "cache"), Metrics()
    with stepping(pool) as worker:
        own = [EngineArm("no_draft", worker, "draftpick")]
        own += [EngineArm(name, worker, "draftpick", selector=one, metrics=metrics) for name, one in selectors.items()]
        with front_door(tmp_path, {}, own=own, metrics=metrics) as door:
            answers = [door.chat(max_tokens=16, temperature=0) for _ in range(20)]
            decided, page = records(door, "decided"), door.get("/draftpick").text
    assert {answer.headers["x-draftpick-arm"] for answer in answers} == {"no_draft", "per_round", "tap_out"}
    assert len({answer.json()["choices"][0]["message"]["content"] for answer in answers}) == 1
    assert [one["propensity"] for one in decided] == pytest.approx([1 / 3] * 20)
    n_rounds = metrics.values("rounds_by_choice_total")
    assert {arm for arm, _ in n_rounds} == {"per_round", "tap_out"}
    assert {chosen for _, chosen in n_rounds} <= set(pool.arms.names)
    assert "What was chosen round by round" in page


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
