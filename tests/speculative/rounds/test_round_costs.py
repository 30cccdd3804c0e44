"""Seconds of a round where a draft may stop before the length that it is asked for."""

import numpy as np

from speculative.collection.arm_plan import ArmPlan
from speculative.rounds import RecordLayout, RoundRecord
from speculative.rounds.round_costs import RoundCosts


def test_a_draft_that_stops_early_is_priced_by_the_rounds_that_it_may_give(traced_pool):
    arms = {"plain": ArmPlan.fixed("no_draft", 0), "draft": ArmPlan.fixed("draft_small", 3)}
    layout, costs = RecordLayout(arms), traced_pool.costs
    record = RoundRecord(np.zeros(len(layout.names), dtype=np.float32), (None,), (9,))
    found = RoundCosts(layout, costs, np.array([0.8])).seconds(100, np.array([0, 3]), record)
    shares = [0.2, 0.8 * 0.2, 0.64 * 0.2, 0.512]  # it proposes none, one, two, three; it computes the one left out too
    priced = [costs.verify_s(1 + n, 100) + costs.draft_s("draft_small", min(n + 1, 3), 9) for n in range(4)]
    np.testing.assert_allclose(found, [costs.verify_s(1, 100), np.dot(shares, priced)])
    barred = RoundCosts(layout, costs, np.array([0.8])).seconds(100, np.array([0, -1]), record)
    np.testing.assert_allclose(barred, costs.verify_s(1, 100))
