"""The acceptance model outside of what it was trained on."""

import numpy as np

from speculative.collection.arm_plan import ArmPlan
from speculative.rounds import AcceptanceModel, AcceptedCounts, RecordLayout, RoundRecord


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
