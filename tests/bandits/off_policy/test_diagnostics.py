"""What a log is worth, when heavy rows happen to be missing from it."""

import numpy as np
import pytest

from bandits import LoggedData
from bandits.off_policy import OffPolicyProblem
from bandits.off_policy.diagnostics import diagnose


def test_a_log_that_happens_to_lack_heavy_rows_is_too_thin_for_intervals():
    taken = np.repeat([0, 1], [960, 40])  # 60 rows of the second arm were due: it has a propensity of 0.06
    log = LoggedData(np.ones((1000, 1)), taken, np.arange(1000) % 7, np.where(taken, 0.06, 0.94), ("a", "b"))
    evaluation = np.tile([0.2, 0.8], (1000, 1))
    found, stated = (diagnose(OffPolicyProblem(log, evaluation, max_weight=weight)) for weight in (None, 200.0))
    assert found.effective_sample_size == stated.effective_sample_size > 60
    assert found.too_thin is None  # rows as heavy as those seen would make it worth more
    squares = 0.96 * (0.2 / 0.94) ** 2 + 0.04 * (0.8 / 0.06) ** 2
    assert stated.certain_sample_size == pytest.approx(1 / (squares + (1 - stated.mean_weight) * 200) * 1000)
    assert "an interval that holds for large samples needs 30" in str(stated.too_thin)
    loose = diagnose(OffPolicyProblem(log, np.tile([0.93, 0.07], (1000, 1)), max_weight=1e6))
    assert loose.mean_weight < 1
    assert loose.certain_sample_size > 0.99 * loose.effective_sample_size  # what is missing may be one row, not less
    assert loose.too_thin is None
    enough = diagnose(OffPolicyProblem(log, np.tile([0.94, 0.06], (1000, 1))))
    assert enough.mean_weight == pytest.approx(1.0)
    assert enough.certain_sample_size == enough.effective_sample_size
