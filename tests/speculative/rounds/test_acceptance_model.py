"""The acceptance model outside of what it was trained on, and of drafts that stop early."""

from dataclasses import replace

import numpy as np

from speculative.collection.arm_plan import ArmPlan
from speculative.rounds import (
    AcceptanceModel,
    AcceptedCounts,
    RandomRounds,
    RecordLayout,
    RoundRecord,
    accepted_counts,
    visits,
)


def test_a_number_beyond_all_trained_on_counts_as_the_farthest_of_them():
    """A prompt of 20 tokens, after training on prompts of 300 to 500, must not make a useless draft look sure."""
    layout = RecordLayout({"plain": ArmPlan.fixed("no_draft", 0), "draft": ArmPlan.fixed("draft", 2)})
    rng, at = np.random.default_rng(0), layout.names.index("log_prompt_length")
    records = np.zeros((500, len(layout.names)), dtype=np.float32)
    records[:, 0] = 1.0
    records[:, at] = np.log1p(rng.integers(300, 500, 500))
    accepted = (rng.random(500) < 0.1 + 0.4 * (records[:, at] < 5.9)).astype(int)
    model = AcceptanceModel(layout, ridge=0.1).fit(
        AcceptedCounts(records, {"draft": np.full(500, 2)}, {"draft": accepted})
    )

    def first(log_length):
        values = np.zeros(len(layout.names), dtype=np.float32)
        values[0], values[at] = 1.0, log_length
        return model.survival(RoundRecord(values, (None,), (0,)), 1)[0, 0]

    lowest, highest = records[:, at].min(), records[:, at].max()
    assert first(np.log1p(20)) == first(lowest) < 0.8
    assert first(np.log1p(9000)) == first(highest) < first(lowest)


def test_how_often_a_draft_goes_on_is_learned_and_kept(traced_pool, tmp_path):
    def stopped(trace):
        own = trace.drafts["draft_small"]
        once = replace(own, proposed=np.minimum(own.proposed, 1), accepted=np.minimum(own.accepted, 1), stops=True)
        return replace(trace, drafts={**trace.drafts, "draft_small": once})

    layout = RecordLayout(traced_pool.arms)
    rounds = RandomRounds(layout, np.random.default_rng(0))
    found = visits(rounds, [stopped(trace) for trace in traced_pool.traces], traced_pool.costs)
    model = AcceptanceModel(layout).fit(accepted_counts(found, layout))
    n_computed = [visit.trace.n_drafted("draft_small", 2, visit.n_new) for visit in found]
    n_proposed = [max(0, visit.trace.proposal("draft_small", 2, visit.n_new)[0]) for visit in found]
    assert 0.5 <= sum(n_proposed) / sum(n_computed) < 0.6
    np.testing.assert_array_equal(model.goes_on, [1.0, sum(n_proposed) / sum(n_computed)])
    np.testing.assert_array_equal(AcceptanceModel(layout).goes_on, [1.0, 1.0])
    np.testing.assert_array_equal(AcceptanceModel.load(model.save(tmp_path), traced_pool.arms).goes_on, model.goes_on)
