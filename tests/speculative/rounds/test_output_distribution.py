"""The distribution of the text under learned choices per round, computed: every outcome of every draw."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bandits import FullInformationData, LinUCB, Reinforce
from bandits.policies import AdamWSettings
from speculative.collection.arm_plan import ArmPlan
from speculative.drafts import NoDraft, PromptLookup
from speculative.drafts.draft_model import DraftModel
from speculative.rounds import (
    AcceptanceModel,
    GatedSelector,
    QueryGate,
    RecordLayout,
    RoundPolicySelector,
    SpeedSelector,
)
from speculative.selectors import EXP3Spec, HedgeSpec, TapOut
from tests.speculative.engine.test_output_distribution import (
    PARAMS,
    WAYS,
    expected_distribution,
    found_distribution,
    softened,
)
from tests.support.table_lm import TableLM
from tests.support.tiny_models import Arm
from tests.support.tiny_pool import plain_costs
from tests.support.word_encoder import WordCount


@pytest.fixture(scope="module")
def arms(tiny):
    other = softened(tiny("qwen2", seed=23, vocab_size=3).decoder)
    model = DraftModel(other, name="other", n_target_vocab=3)
    return [Arm(NoDraft(), 0), Arm(PromptLookup(3), 1), Arm(PromptLookup(3), 2), Arm(model, 2)]


def _learned(arms, seed):
    """A selector whose choices swing with all that a record tells: large weights, drawn once."""
    plans = {f"arm_{i}": ArmPlan.fixed(arm.draft.name, arm.draft_length) for i, arm in enumerate(arms)}
    layout = RecordLayout(plans)
    model = AcceptanceModel(layout)
    model.weights = np.random.default_rng(seed).normal(scale=2.0, size=model.weights.shape)
    costs = plain_costs(*layout.drafts)
    free = {name: replace(cost, round_s=0.0, token_s=0.0, read_s=0.0) for name, cost in costs.drafts.items()}
    return SpeedSelector(model, replace(costs, drafts=free), rate=0.5, inertia=2.0)


def _gated(arms, seed):
    speed = _learned(arms, seed)
    encoder = WordCount()
    gate = QueryGate.fit(np.zeros((1, encoder.n_features), dtype=np.float32), np.zeros((1, 2)))
    return GatedSelector([speed, speed], gate, encoder)


@cache  # a selector is made for every outcome, its policy is fitted once
def _fitted(policy, mark, arm_names, n_numbers):
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(40, n_numbers)).astype(np.float32)
    return policy.fit(FullInformationData(rows, rng.normal(size=(40, len(arm_names))), arm_names, encoder=mark))


def _policy(policy):
    def make(arms, seed):
        layout = _learned(arms, seed).layout
        fitted = _fitted(policy, layout.mark, tuple(layout.arms), len(layout.names))
        return RoundPolicySelector(fitted, layout, np.random.default_rng(seed))

    return make


SELECTORS = {
    "speed": _learned,
    "gated": _gated,
    "lin_ucb": _policy(LinUCB()),
    "reinforce": _policy(Reinforce(hidden_size=8, training=AdamWSettings(max_epochs=5, held_out_share=0))),
    "hedge": lambda arms, seed: HedgeSpec([arm.draft_length for arm in arms], seed=seed),
    "exp3": lambda arms, seed: EXP3Spec(2, seed=seed),
    "tap_out": lambda arms, seed: TapOut(2),
}


@pytest.mark.parametrize("kind", SELECTORS)
@pytest.mark.parametrize("way", WAYS)
def test_output_distribution_equals_target_under_a_learned_choice_per_round(arms, kind, way, monkeypatch):
    target, params, used = TableLM(3, 2), PARAMS["plain"], set()

    def make():
        selector = SELECTORS[kind](arms, 5)
        select = selector.select
        monkeypatch.setattr(selector, "select", lambda rounds: [used.add(a) or a for a in select(rounds)])
        return selector

    expected = expected_distribution(target, params, (2,), 4)
    found = found_distribution(target, arms, params, WAYS[way], 1, (2,), 4, monkeypatch, make_selector=make)
    assert set(found) <= set(expected)
    for text, probability in expected.items():
        assert found.get(text, 0.0) == pytest.approx(probability, abs=1e-9)
    assert len(used) > 1
