"""Records, choices and rounds are the same in the engine and on a trace; models learn, are kept and refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import KNN, HashingEncoder, LinTS, LinUCB, Reinforce, SquareCB
from bandits.policies import AdamWSettings
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import replay
from speculative.engine.generate import generate
from speculative.protocols.selector import RoundContext
from speculative.rounds import (
    AcceptanceModel,
    AcceptedCounts,
    RandomRounds,
    RecordKeeper,
    RecordLayout,
    RoundPolicySelector,
    RoundRecord,
    SpeedSelector,
    TrainingSettings,
    accepted_counts,
    fit_speed_selector,
    layout_of,
    play,
    played_s,
    round_data,
    tuned,
    visits,
)
from speculative.rounds.hazard import fit_logistic, sigmoid
from speculative.rounds.round_costs import RoundCosts
from speculative.testing import check_selector
from tests.support.tiny_pool import plain_costs

QUICK = TrainingSettings(n_walks=1, n_passes=2, n_prompt_features=2)


@pytest.fixture(scope="module")
def fitted(traced_pool):
    return fit_speed_selector(traced_pool.traces, traced_pool.arms, traced_pool.costs, QUICK)


def _policy_selector(traced_pool, layout, encoder=None):
    data = round_data(traced_pool.traces, traced_pool.arms, traced_pool.costs, rate=0.7, layout=layout, settings=QUICK)
    return RoundPolicySelector(LinUCB().fit(data), layout, np.random.default_rng(3), encoder)


@pytest.mark.parametrize("kind", ["random", "speed", "policy"])
def test_records_choices_and_rounds_in_the_engine_are_those_on_the_trace(traced_pool, fitted, kind):
    layout = fitted.layout

    def make():
        if kind == "random":
            return RandomRounds(layout, np.random.default_rng(5), traced_pool.pool.encoder)
        if kind == "policy":
            return _policy_selector(traced_pool, layout, traced_pool.pool.encoder)
        return fitted.with_changes(traced_pool.costs, encoder=traced_pool.pool.encoder)

    plans = list(traced_pool.arms.values())
    for query, trace in zip(traced_pool.queries[:3], traced_pool.traces, strict=False):
        seen = {"engine": [], "trace": []}
        real, played = make(), make()
        real.on_choice = lambda round_, record, action, seen=seen: seen["engine"].append((record, action))
        played.on_choice = lambda round_, record, action, seen=seen: seen["trace"].append((record, action))
        engine = traced_pool.pool.target.engine(list(traced_pool.pool.arms), real)
        [generation] = generate(engine, [traced_pool.pool.target.request(query)])
        replayed = play(played, plans, trace, traced_pool.costs)
        assert generation.token_ids == trace.new_ids
        assert replayed.actions == tuple(generation.stats.actions)
        assert replayed.accepted == tuple(generation.stats.accepted)
        for (one, action), (other, again) in zip(seen["engine"], seen["trace"], strict=True):
            np.testing.assert_allclose(one.values, other.values, atol=1e-3)
            assert (one.match_lengths, one.n_idle, action) == (other.match_lengths, other.n_idle, again)
        assert real.n_requests == played.n_requests == 0


def test_the_selector_is_at_least_as_fast_as_the_best_fixed_arm_where_it_learned(traced_pool, fitted):

    traces, costs = traced_pool.traces, traced_pool.costs
    fixed = [sum(replay(trace, plan, costs).seconds for trace in traces) for plan in traced_pool.arms.values()]
    assert played_s(fitted, traces, costs) <= min(fixed) * 1.01


def test_another_profile_is_taken_without_fitting_the_model_again(traced_pool, fitted):
    slow = plain_costs("prompt_lookup", "draft_small", token_s=5.0)
    moved = tuned(fitted, traced_pool.traces, slow, QUICK)
    assert moved.model is fitted.model
    names = list(traced_pool.arms)
    chosen = {names[action] for trace in traced_pool.traces for action in _actions(moved, trace, slow)}
    assert "draft_small_2" not in chosen


def test_no_selector_is_played_twice_while_it_is_tuned(traced_pool, fitted, monkeypatch):
    seen = []

    def counted(selector, traces, costs):
        seen.append((selector.rate, selector.idle_share, selector.inertia))
        return played_s(selector, traces, costs)

    monkeypatch.setattr("speculative.rounds.training.played_s", counted)
    tuned(fitted.with_changes(traced_pool.costs, idle_share=1.0), traced_pool.traces, traced_pool.costs, QUICK)
    assert len(seen) == len(set(seen)) > len(QUICK.idle_shares) + len(QUICK.inertias)


def _actions(selector, trace, costs):
    return play(selector, list(selector.layout.arms.values()), trace, costs).actions


def test_seconds_of_a_round_are_those_of_the_profile(traced_pool):
    layout, costs = RecordLayout(traced_pool.arms), traced_pool.costs
    record = RoundRecord(np.zeros(len(layout.names), dtype=np.float32), (5, None), (4, 9))
    found = RoundCosts(layout, costs).seconds(100, np.array([0, 3, 7, 2]), record)
    wanted = [
        costs.verify_s(1, 100) + costs.draft_s("prompt_lookup", 0, 4),
        costs.verify_s(4, 100) + costs.draft_s("prompt_lookup", 3, 4),
        costs.verify_s(8, 100) + costs.draft_s("prompt_lookup", 7, 4),
        costs.verify_s(3, 100) + costs.draft_s("draft_small", 2, 9) + costs.draft_s("prompt_lookup", 0, 4),
    ]
    np.testing.assert_allclose(found, wanted)


def test_a_profile_without_one_of_the_drafts_is_refused(traced_pool, fitted):
    with pytest.raises(ValueError, match="the cost profile lacks draft 'draft_small'"):
        fitted.with_changes(plain_costs("prompt_lookup"))


def test_a_rule_is_no_arm_of_a_choice_per_round():
    rule = ArmPlan((("prompt_lookup", 3), ("no_draft", 0)), (1,))
    with pytest.raises(ValueError, match="among fixed arms, but 'rule' is a rule"):
        RecordLayout({"rule": rule})


def test_the_mean_prediction_is_the_share_observed(traced_pool):
    layout = RecordLayout(traced_pool.arms)
    found = visits(RandomRounds(layout, np.random.default_rng(0)), traced_pool.traces, traced_pool.costs)
    counts = accepted_counts(found, layout)
    model = AcceptanceModel(layout, ridge=1.0).fit(counts)
    for d, draft in enumerate(layout.drafts):
        asked = counts.asked[draft] > 0
        predicted = np.array([model.survival(visit.record, 1)[d, 0] for visit in found])[asked]
        assert predicted.mean() == pytest.approx((counts.accepted[draft][asked] > 0).mean(), abs=1e-3)


def test_survival_never_rises_and_is_nothing_without_a_match(traced_pool, fitted):
    for visit in visits(fitted, traced_pool.traces[:2], traced_pool.costs):
        survival = fitted.model.survival(visit.record, 7)
        assert ((survival >= 0) & (survival <= 1)).all()
        assert (np.diff(survival, axis=1) <= 0).all()
        if visit.record.match_lengths[0] == 0:
            assert (survival[0] == 0).all()


def test_logistic_regression_ends_where_the_gradient_is_nothing():
    rng = np.random.default_rng(0)
    features = np.hstack([np.ones((200, 1)), rng.normal(size=(200, 3))])
    outcomes = (rng.random(200) < sigmoid(features @ [0.5, 2.0, -1.0, 0.0])).astype(float)
    weights = fit_logistic(features, outcomes, 0.5)
    gradient = features.T @ (sigmoid(features @ weights) - outcomes) + np.array([1e-6, 0.5, 0.5, 0.5]) * weights
    np.testing.assert_allclose(gradient, 0, atol=1e-3)


def test_a_saved_model_says_the_same_and_knows_other_lengths(traced_pool, fitted, tmp_path):
    path = fitted.model.save(tmp_path)
    again = AcceptanceModel.load(path, traced_pool.arms)
    visit = visits(fitted, traced_pool.traces[:1], traced_pool.costs)[0]
    np.testing.assert_array_equal(again.survival(visit.record, 5), fitted.model.survival(visit.record, 5))
    longer = {**traced_pool.arms, "prompt_lookup_5": ArmPlan.fixed("prompt_lookup", 5)}
    assert AcceptanceModel.load(path, longer).layout.drafts == again.layout.drafts


def test_a_model_of_other_drafts_or_records_is_refused_by_name(traced_pool, fitted, tmp_path, monkeypatch):
    path = fitted.model.save(tmp_path / "one")
    fewer = {name: plan for name, plan in traced_pool.arms.items() if name != "draft_small_2"}
    with pytest.raises(ValueError, match=r"knows the drafts \['prompt_lookup', 'draft_small'\], but the arms have"):
        AcceptanceModel.load(path, fewer)
    monkeypatch.setattr("speculative.rounds.acceptance_model.RECORD_VERSION", 7)
    with pytest.raises(ValueError, match="records of version 2, this draftpick makes version 7"):
        AcceptanceModel.load(path, traced_pool.arms)
    policy = LinUCB().fit([[1.0], [2.0]], [0, 1], [0.0, 1.0])
    policy.save(tmp_path / "policy")
    with pytest.raises(ValueError, match="holds a LinUCB, not an AcceptanceModel"):
        AcceptanceModel.load(tmp_path / "policy", traced_pool.arms)


def test_a_policy_of_other_contexts_is_refused(traced_pool, fitted):
    data = round_data(traced_pool.traces, traced_pool.arms, traced_pool.costs, rate=0.7, settings=QUICK)
    other = LinUCB().fit(replace(data, encoder="hashing"))
    with pytest.raises(ValueError, match="contexts of hashing, the rounds' records are round_record_2:"):
        RoundPolicySelector(other, fitted.layout, np.random.default_rng(0))


def test_round_selectors_keep_the_contract_of_selectors(traced_pool):
    plain = replace(QUICK, n_prompt_features=0)
    selector = fit_speed_selector(traced_pool.traces, traced_pool.arms, traced_pool.costs, plain)
    check_selector(selector, 4)
    check_selector(_policy_selector(traced_pool, layout_of(traced_pool.traces, traced_pool.arms, plain)), 4)
    assert isinstance(selector, SpeedSelector)


REINFORCE = Reinforce(hidden_size=8, training=AdamWSettings(max_epochs=40, held_out_share=0))


@pytest.mark.parametrize(
    "policy", [LinTS(), SquareCB(), KNN(n_neighbors=3), REINFORCE], ids=lambda policy: type(policy).__name__
)
def test_any_policy_chooses_at_every_round(traced_pool, policy):
    traces, arms, costs = traced_pool.traces, traced_pool.arms, traced_pool.costs
    data = round_data(traces, arms, costs, rate=0.7, settings=QUICK)
    layout = layout_of(traces, arms, QUICK)
    selector = RoundPolicySelector(policy.fit(data), layout, np.random.default_rng(0))
    replayed = [play(selector, list(arms.values()), trace, costs) for trace in traces]
    assert len({action for one in replayed for action in one.actions}) > 1


def test_reinforce_learns_from_rounds_to_be_faster_than_arms_at_random(traced_pool):
    traces, arms, costs = traced_pool.traces, traced_pool.arms, traced_pool.costs
    layout = layout_of(traces, arms, QUICK)
    policy = REINFORCE.fit(round_data(traces, arms, costs, rate=0.7, layout=layout, settings=QUICK))
    learned = played_s(RoundPolicySelector(policy, layout, np.random.default_rng(0)), traces, costs)
    assert learned < 0.9 * played_s(RandomRounds(layout, np.random.default_rng(0)), traces, costs)


def test_a_prompt_that_was_learned_with_needs_its_encoder(traced_pool, fitted):
    with pytest.raises(ValueError, match="give the selector its encoder"):
        generate(
            traced_pool.pool.target.engine(list(traced_pool.pool.arms), fitted.with_changes(traced_pool.costs)),
            [traced_pool.pool.target.request(traced_pool.queries[0])],
        )


def test_seconds_expected_of_the_arm_chosen_are_those_that_the_replay_charges(traced_pool):
    layout, costs = RecordLayout(traced_pool.arms), traced_pool.costs
    table, expected, charged = RoundCosts(layout, costs), [], []

    class Watched(RandomRounds):
        def observe(self, observations):
            super().observe(observations)
            charged.extend(observation.seconds for observation in observations)

    selector = Watched(layout, np.random.default_rng(2))
    for trace in traced_pool.traces:

        def price(round_, record, action, trace=trace):
            counts = [trace.proposal(*plan.drafts[0], round_.n_new)[0] for plan in layout.arms.values()]
            expected.append(table.seconds(round_.cache_length, np.array(counts), record)[action])

        selector.on_choice = price
        play(selector, list(layout.arms.values()), trace, costs)
    np.testing.assert_allclose(expected, charged)


def test_a_policy_of_another_layout_is_refused_though_its_arms_and_counts_are_the_same(traced_pool):
    arms = traced_pool.arms
    other = dict(reversed(arms.items()))
    plain = replace(QUICK, n_prompt_features=0)
    data = round_data(traced_pool.traces, arms, traced_pool.costs, rate=0.7, settings=plain)
    policy = LinUCB().fit(data)
    assert RoundPolicySelector(policy, RecordLayout(arms), np.random.default_rng(0)).layout.mark == data.encoder
    with pytest.raises(ValueError, match="fit it on round_data of the same layout"):
        RoundPolicySelector(policy, RecordLayout(other), np.random.default_rng(0))
    with pytest.raises(ValueError, match="give it these"):
        round_data(traced_pool.traces, arms, traced_pool.costs, rate=0.7, layout=RecordLayout(other), settings=plain)


def test_layouts_of_the_same_arms_but_other_prompts_have_other_marks(traced_pool, fitted, tmp_path):
    again = AcceptanceModel.load(fitted.model.save(tmp_path), traced_pool.arms)
    assert again.layout.mark == fitted.layout.mark
    fewer = layout_of(traced_pool.traces[1:], traced_pool.arms, QUICK)
    assert fewer.names == fitted.layout.names
    assert fewer.mark != fitted.layout.mark


def test_contexts_of_another_encoder_are_refused_in_training_playing_and_serving(traced_pool, fitted, tmp_path):
    assert fitted.layout.prompt.encoder == traced_pool.pool.encoder.name
    again = AcceptanceModel.load(fitted.model.save(tmp_path), traced_pool.arms)
    other = HashingEncoder(9)
    with pytest.raises(ValueError, match="the rounds and the selector must have contexts of one encoder"):
        SpeedSelector(again, traced_pool.costs, rate=1.0, encoder=other)
    foreign = replace(traced_pool.traces[0], encoder=other.name)
    with pytest.raises(ValueError, match="the rounds and the query's context must have contexts of one encoder"):
        played_s(fitted, [foreign], traced_pool.costs)
    with pytest.raises(
        ValueError, match="the texts before and the text of query 'q0' must have contexts of one encoder"
    ):
        layout_of([*traced_pool.traces, foreign], traced_pool.arms, QUICK)


def test_a_selector_fitted_with_its_encoder_serves_at_once(traced_pool):
    pool = traced_pool.pool
    selector = fit_speed_selector(traced_pool.traces, traced_pool.arms, traced_pool.costs, QUICK, pool.encoder)
    [generation] = generate(
        pool.target.engine(list(pool.arms), selector), [pool.target.request(traced_pool.queries[0])]
    )
    assert generation.token_ids == traced_pool.traces[0].new_ids


def test_a_draft_that_stops_early_is_not_expected_to_go_on():
    layout = RecordLayout({"plain": ArmPlan.fixed("no_draft", 0), "draft": ArmPlan.fixed("draft", 8)})
    records = np.zeros((400, len(layout.names)), dtype=np.float32)
    records[:, 0] = 1.0
    counts = AcceptedCounts(records, {"draft": np.full(400, 8)}, {"draft": np.full(400, 2)})
    record = RoundRecord(records[0], (None,), (0,))
    [survival] = AcceptanceModel(layout, ridge=0.01).fit(counts).survival(record, 8)
    assert survival[1] > 0.9
    assert survival[2] < 0.1


def test_tokens_asked_for_and_not_proposed_count_as_not_accepted(traced_pool):
    layout = RecordLayout(traced_pool.arms)
    found = visits(RandomRounds(layout, np.random.default_rng(0)), traced_pool.traces, traced_pool.costs)
    counts = accepted_counts(found, layout)
    for row, visit in enumerate(found):
        room = visit.trace.max_new_tokens - visit.n_new - 1
        assert counts.asked["draft_small"][row] == (
            min(2, room) if visit.trace.can_draft("draft_small", visit.n_new) else 0
        )
        matched = visit.record.match_lengths[0] != 0
        assert counts.asked["prompt_lookup"][row] == (min(7, room) if matched else 0)
    assert (counts.accepted["prompt_lookup"] <= np.maximum(counts.asked["prompt_lookup"], 0)).all()


def test_no_round_asks_how_sure_the_target_was(traced_pool):
    """Over a large vocabulary that would take longer than the rest of the choice."""
    layout = RecordLayout(traced_pool.arms)
    keeper = RecordKeeper(layout)

    def fail():
        raise AssertionError("asked")

    record = keeper.record(RoundContext("a", 3, 1, (True,) * 4, match_length=lambda _: 2, certainty=fail))
    assert len(record.values) == len(layout.names)
