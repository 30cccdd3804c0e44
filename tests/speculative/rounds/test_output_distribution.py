"""The distribution of the text under learned choices per round, computed: every outcome of every draw."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import FullInformationData, LinUCB
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


def _policy(arms, seed):
    layout, rng = _learned(arms, seed).layout, np.random.default_rng(seed)
    rows = rng.normal(size=(40, len(layout.names))).astype(np.float32)
    data = FullInformationData(rows, rng.normal(size=(40, len(arms))), tuple(layout.arms), encoder=layout.mark)
    return RoundPolicySelector(LinUCB().fit(data), layout, rng)


SELECTORS = {
    "speed": _learned,
    "gated": _gated,
    "policy": _policy,
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
