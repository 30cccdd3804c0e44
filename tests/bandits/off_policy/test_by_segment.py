"""Estimates by segment: each by its own rows, all intervals at once."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import EpsilonGreedy, LinUCB, Uniform, estimate
from bandits.off_policy import SegmentEstimates, estimate_by_segment
from bandits.testing import example_data


@pytest.fixture(scope="module")
def asked():
    policy = EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.3).fit(example_data(50, seed=8))
    log = example_data(900).log_with(Uniform(), np.random.default_rng(0))
    return policy, replace(log, domains=(*["maths", "code", None] * 299, "rare", "code", "code"))


def test_a_segment_is_estimated_by_its_own_rows_at_a_corrected_confidence(asked):
    policy, log = asked
    found = estimate_by_segment(policy, log, estimator="snips", confidence=0.9)
    assert found.names == ("maths", "code", "(none)", "rare")
    rows = np.array([domain == "code" for domain in log.domains])
    alone = estimate(policy, log.subset(rows), estimators=("snips",), confidence=1 - 0.1 / 4)["SNIPS"]
    assert found["code"].value == alone.value
    assert found["code"].interval == alone.interval
    assert found.n_rows == {"maths": 299, "code": 301, "(none)": 299, "rare": 1}


def test_a_segment_that_supports_none_says_so_and_the_others_stand(asked, tmp_path):
    policy, log = asked
    found = estimate_by_segment(policy, log)
    assert found["rare"].value is None
    assert "needs at least 2 queries" in found["rare"].refused
    assert found["maths"].low < found["maths"].value < found["maths"].high
    text = found.to_text()
    assert "Bonferroni's correction for 4 segments" in text
    assert "rare: no estimate" in text
    found.save(tmp_path / "found.json")
    assert SegmentEstimates.load(tmp_path / "found.json") == found


def test_labels_are_asked_for_and_counted(asked):
    policy, log = asked
    bare = replace(log, domains=None)
    with pytest.raises(ValueError, match="segments must be a label a row: the log has no domains"):
        estimate_by_segment(policy, bare)
    with pytest.raises(ValueError, match="segments must have 900 entries"):
        estimate_by_segment(policy, bare, segments=["a"])
    with pytest.raises(ValueError, match="unknown interval 'wide'"):
        estimate_by_segment(policy, log, intervals=("wide",))
    halves = estimate_by_segment(policy, bare, segments=["a", "b"] * 450)
    assert halves.names == ("a", "b")
