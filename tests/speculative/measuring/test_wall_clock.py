import numpy as np
import pytest

from bandits import BestFixedArm
from speculative.demo.modes import REAL, group_modes
from speculative.measuring.wall_clock import (
    Run,
    arm_mode,
    compose_policy_runs,
    measure,
    policy_mode,
    repeated_share,
    selector_mode,
    speed_ratio,
    tokens_per_second,
)
from speculative.pools.pool import Pool
from speculative.selectors.fixed import FixedSelector
from tests.support.tiny_pool import ARMS, queries, save_pool


def run(query: str, mode: str, seconds: float, n: int = 10, **more) -> Run:
    return Run(query, "domain", mode, seconds, tuple(range(n)), **more)


def test_speed_is_total_tokens_over_total_seconds():
    assert tokens_per_second([run("a", "m", 1.0, 10), run("b", "m", 4.0, 30)]) == 8.0


def test_a_ratio_is_taken_on_shared_queries_only_and_its_interval_holds_it():
    fast = [run(str(i), "fast", 1.0 + 0.1 * i) for i in range(10)]
    slow = [run(str(i), "slow", 2.0 + 0.2 * i) for i in range(5)]
    ratio = speed_ratio(fast, slow)
    assert ratio.value == pytest.approx(2.0)
    assert ratio.low == pytest.approx(2.0)
    assert ratio.high == pytest.approx(2.0)
    with pytest.raises(ValueError, match="no query in common"):
        speed_ratio(fast, [run("other", "slow", 1.0)])


def test_a_noisy_ratio_has_a_wide_interval():
    rng = np.random.default_rng(0)
    noisy = [run(str(i), "noisy", seconds) for i, seconds in enumerate(rng.uniform(1, 3, 40))]
    steady = [run(str(i), "steady", 2.0) for i in range(40)]
    ratio = speed_ratio(noisy, steady)
    assert ratio.low < ratio.value < ratio.high
    assert ratio.high - ratio.low > 0.05


def test_a_policys_time_is_its_picks_time_and_its_own():
    runs = [run("a", "x", 1.0), run("a", "y", 2.0), run("b", "x", 3.0), run("b", "y", 4.0)]
    composed = compose_policy_runs(runs, "policy", {"a": ("y", 0.5), "b": ("x", 0.25)})
    assert [(r.query_id, r.mode, r.pick, r.seconds) for r in composed] == [
        ("a", "policy", "y", 2.5),
        ("b", "policy", "x", 3.25),
    ]


def test_modes_are_grouped_with_the_real_run_beside_the_composed_one():
    runs = [run("a", "peer", 9.0), run("a", "P", 1.7, select_s=0.5, pick="x"), run("a", "x", 1.0)]
    grouped = group_modes(runs, ["P"], ["x"])
    assert list(grouped) == ["x", "P", f"P{REAL}", "peer"]
    assert grouped["P"][0].seconds == 1.5
    assert grouped[f"P{REAL}"][0].seconds == 1.7


@pytest.mark.parametrize(("tokens", "share"), [([1, 2, 3], 0.0), (range(30), 0.0), ([1, 2] * 20, 1 - 2 / 37)])
def test_repeated_share_counts_four_grams_seen_before(tokens, share):
    assert repeated_share(list(tokens)) == pytest.approx(share)


def test_every_mode_answers_every_prompt_with_one_text(tmp_path):
    save_pool(tmp_path)
    pool = Pool.load(tmp_path / "pool.toml", tmp_path / "cache")
    policy = BestFixedArm(ARMS)
    policy.start(ARMS, pool.encoder.n_features)
    modes = {arm.name: arm_mode(arm) for arm in pool.arms}
    modes["policy"] = policy_mode(pool.arms, pool.encoder, policy, name="policy")
    asked = queries(4)
    only = {"prompt_lookup_3": {asked[0].id}}
    runs = measure(asked, modes, seed=0, only=only)
    assert len(runs) == 4 * len(modes) - 3
    assert [r.query_id for r in runs if r.mode == "prompt_lookup_3"] == [asked[0].id]
    texts = {query.id: {r.token_ids for r in runs if r.query_id == query.id} for query in asked}
    assert all(len(found) == 1 for found in texts.values())
    picks = [r for r in runs if r.mode == "policy"]
    assert all(r.pick in ARMS and 0 < r.select_s < r.seconds for r in picks)
    orders = [[r.mode for r in runs if r.query_id == query.id] for query in asked[1:]]
    assert len({tuple(order) for order in orders}) > 1


def test_a_selector_mode_uses_the_arms_it_is_given(tmp_path):
    save_pool(tmp_path)
    pool = Pool.load(tmp_path / "pool.toml", tmp_path / "cache")
    seen = []

    class Watching(FixedSelector):
        def observe(self, observations):
            seen.extend(observation.action for observation in observations)

    query = queries(1)[0]
    mode = selector_mode([pool.arms[0], pool.arms["draft_small_2"]], lambda: Watching(1), name="rule")
    plain = selector_mode(pool.arms, lambda: FixedSelector(0), name="batch-invariant", batch_invariant=True)(query)
    found = mode(query)
    assert (found.mode, found.token_ids) == ("rule", plain.token_ids)
    assert set(seen) == {1}
    assert len(seen) < len(plain.token_ids)  # the draft had tokens accepted
