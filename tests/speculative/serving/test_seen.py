"""What the page shows is kept small: a few hundred points, the last decisions, a request every few seconds."""

import numpy as np
import pytest

from arms import Query
from bandits import Agent, Decision, DecisionLog, HashingEncoder, Uniform
from bandits.online import Trial
from bandits.online.segments import near_end, read_records
from speculative.serving.live_charts import gain_chart, gain_scale, shares_chart
from speculative.serving.seen import Seen
from speculative.serving.served_tail import ServedTail
from speculative.serving.trial_curve import CurvePoint, TrialCurve


def test_a_long_trial_keeps_few_points_and_ends_with_the_present_one():
    trial = Trial("a", (0.0, 1.0), most_weight=2.5)
    curve = TrialCurve(trial, most=10)
    decision = Decision("b", 1, 0.5, {"a": 0.5, "b": 0.5}, {"a": 0.0, "b": 1.0})
    for _ in range(1001):
        trial.take(decision, 0.9)
        curve.step()
    points = curve.points()
    assert len(points) <= 11
    assert [points[0].n, points[-1].n] == [128, 1001]
    assert (points[-1].low, points[-1].high) == trial.interval


def test_a_trial_that_has_taken_nothing_has_no_points():
    assert TrialCurve(Trial("a", (0.0, 1.0), most_weight=2.5)).points() == []


def test_rounds_are_reported_only_while_somebody_looks_and_of_one_request_in_a_while():
    now = [0.0]
    seen = Seen(clock=lambda: now[0])
    assert not seen.wants_rounds()
    seen.watched()
    assert [seen.wants_rounds(), seen.wants_rounds()] == [True, False]
    now[0] = 30.0
    assert seen.wants_rounds()
    now[0] = 61.0
    assert not seen.wants_rounds()


def test_a_tail_holds_the_last_decisions_with_their_ends_and_reads_on(tmp_path):
    with DecisionLog(tmp_path, sync_every=0) as log:
        agent = Agent(Uniform(arm_names=("a", "b")), HashingEncoder(4), log)
        tail = ServedTail(tmp_path, most=3)
        assert tail.read() == ([], [])
        for number in range(5):
            agent.choose(Query(id=f"q{number}", prompt="words"))
        agent.reward("q0", 1.0)
        agent.reward("q3", 0.5)
        log.dropped("q4", "refused")
        log.noted("stage", {"stage": "live", "reason": "asked for"})
        decisions, [change] = tail.read()
        assert [(one.decision.query_id, one.reward, one.end) for one in decisions] == [
            ("q2", None, "open"),
            ("q3", 0.5, "rewarded"),
            ("q4", None, "refused"),
        ]
        assert (change.stage, change.reason) == ("live", "asked for")
        agent.reward("q2", 0.0)
        assert tail.read()[0][0].reward == 0.0


def test_a_long_log_is_read_from_a_whole_record_near_its_end(tmp_path):
    with DecisionLog(tmp_path, sync_every=0) as log:
        agent = Agent(Uniform(arm_names=("a", "b")), HashingEncoder(4), log)
        for number in range(20):
            agent.choose(Query(id=f"q{number}", prompt="words"))
        whole = [placed.start for placed in read_records(tmp_path)]
        assert near_end(tmp_path, 1 << 20) == whole[0]
        assert near_end(tmp_path, 1000) in whole[-3:]
        rest = [placed.record["number"] for placed in read_records(tmp_path, near_end(tmp_path, 1000))]
    assert rest == list(range(20))[-len(rest) :]


def test_bars_stack_to_the_whole_and_names_are_escaped():
    chosen = [("a", "<b>")[int(i % 3 == 0)] for i in range(480)]
    chart = shares_chart(chosen, {"a": "#111111", "<b>": "#222222"})
    heights = [float(part.split('"')[0]) for part in chart.split('height="')[1:]]
    assert sum(heights) == pytest.approx(48 * 160, abs=1)
    assert "<title>&lt;b&gt;</title>" in chart


def test_a_band_that_begins_wide_does_not_hide_the_line_later():
    points = [CurvePoint(n, -1 / n, 0.1 / n, 1 / n) for n in range(1, 101)]
    assert gain_scale(points) == pytest.approx(1.1 / 51)
    assert "nan" not in gain_chart(points, "#111111")
    assert "nan" not in gain_chart([CurvePoint(1, 0.0, 0.0, 0.0)], "#111111")
    assert np.isfinite(gain_scale(points[:1]))
