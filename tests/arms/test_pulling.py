import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from arms import (
    Arm,
    CallableArm,
    Observation,
    ProcessExecutor,
    PullSettings,
    Query,
    SerialExecutor,
    ThreadExecutor,
    pull_all,
    pull_seed,
)

QUERIES = [Query(id=f"q{i}", prompt=f"question {i}") for i in range(7)]


class Drawing(Arm):
    """Draws its text from the seed; every third query fails."""

    def __init__(self, name, broken=3):
        self.name, self.broken = name, broken

    def pull(self, query, seed):
        if int(query.id[1:]) % self.broken == self.broken - 1:
            raise ConnectionError("503")
        text = random.Random(seed).choice("abcdefghij")
        return Observation(self.name, query.id, text, n_tokens=1, seconds=0.5)


class Killing(Drawing):
    def pull(self, query, seed):
        if query.id == "q4":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().pull(query, seed)


ARMS = (Drawing("a"), Drawing("b", broken=99))


def facts(rows):
    return [[(o.arm, o.query_id, o.text, o.failure) for o in row] for row in rows]


@pytest.fixture(scope="module")
def plain():
    return pull_all(ARMS, QUERIES)


def test_every_arm_is_pulled_on_every_query_and_failures_are_observations(plain):
    assert [[(o.arm, o.query_id) for o in row] for row in plain] == [[("a", q.id), ("b", q.id)] for q in QUERIES]
    assert [row[0].failure for row in plain] == [
        None,
        None,
        "ConnectionError: 503",
        None,
        None,
        "ConnectionError: 503",
        None,
    ]
    assert all(row[1].failure is None for row in plain)


@pytest.mark.parametrize("executor", [SerialExecutor(), ThreadExecutor(3), ProcessExecutor(2)])
def test_the_executor_changes_nothing(plain, executor):
    assert facts(pull_all(ARMS, QUERIES, executor=executor)) == facts(plain)


def test_seeds_do_not_depend_on_the_order_of_arms_and_queries(plain):
    turned = pull_all(ARMS[::-1], QUERIES[::-1])
    assert facts(row[::-1] for row in turned[::-1]) == facts(plain)
    assert facts(pull_all(ARMS, QUERIES, settings=PullSettings(seed=1))) != facts(plain)
    seeds = {pull_seed(s, a, q) for s in (0, 1) for a in ("a", "b") for q in ("q0", "q1")}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_worker_that_dies_costs_one_pull():
    rows = pull_all([Killing("a", broken=99)], QUERIES, executor=ProcessExecutor(2))
    assert [row[0].failure for row in rows if row[0].failure] == ["the worker process died (exit code -9)"]
    assert rows[4][0].failure is not None


def test_a_pull_is_tried_again_with_the_same_seed(monkeypatch):
    slept, seen = [], []
    monkeypatch.setattr(time, "sleep", slept.append)

    def flaky(query, seed):
        seen.append(seed)
        if len(seen) < 4:
            raise ConnectionError("503")
        return "answer"

    [[observation]] = pull_all([CallableArm("a", flaky)], QUERIES[:1], settings=PullSettings(retries=3, backoff_s=0.5))
    assert (observation.text, observation.failure) == ("answer", None)
    assert (slept, len(seen), len(set(seen))) == ([0.5, 1.0, 2.0], 4, 1)
    seen.clear()
    [[observation]] = pull_all([CallableArm("a", flaky)], QUERIES[:1], settings=PullSettings(retries=2))
    assert (observation.failure, len(seen)) == ("ConnectionError: 503", 3)


def test_a_pull_that_takes_too_long_fails_and_is_not_tried_again():
    released, calls = threading.Event(), []

    def hang(query, seed):
        calls.append(query.id)
        released.wait(60)
        return "late"

    settings = PullSettings(timeout_s=0.05, retries=3)
    [[observation]] = pull_all([CallableArm("slow", hang)], QUERIES[:1], settings=settings)
    released.set()
    assert observation.failure == "TimeoutError: no answer within 0.05 s"
    assert observation.seconds >= 0.05
    assert calls == ["q0"]
    [[observation]] = pull_all(
        [CallableArm("quick", lambda q, s: "x")], QUERIES[:1], settings=PullSettings(timeout_s=60)
    )
    assert observation.text == "x"


def test_progress_counts_every_pull(tmp_path):
    told = []
    pull_all(ARMS, QUERIES, on_progress=lambda *counts: told.append(counts))
    assert told == [(n, 14) for n in range(1, 15)]
    settings = PullSettings(part_size=4)
    pull_all(ARMS, QUERIES, settings=settings, folder=tmp_path)
    told.clear()
    pull_all(ARMS, QUERIES, settings=settings, folder=tmp_path, on_progress=lambda *counts: told.append(counts))
    assert told == [(8, 14), (14, 14)]


class Counting(Drawing):
    n_pulls = itertools.count()

    def pull(self, query, seed):
        next(self.n_pulls)
        return super().pull(query, seed)


def test_a_finished_job_is_read_and_nothing_is_pulled(tmp_path, plain):
    arms = (Counting("a"), Drawing("b", broken=99))
    first = pull_all(arms, QUERIES, folder=tmp_path)
    n_pulls = next(Counting.n_pulls)
    assert pull_all(arms, QUERIES, folder=tmp_path) == first
    assert next(Counting.n_pulls) == n_pulls + 1
    assert facts(first) == facts(plain)


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from test_pulling import ARMS, QUERIES
from arms import PullSettings, pull_all

def die(n_done, n_total):
    if n_done == {n_done}:
        os._exit(9)

pull_all(ARMS, QUERIES, folder=sys.argv[1], settings=PullSettings(part_size=2), on_progress=die)
"""


def test_a_killed_job_goes_on_and_equals_an_undisturbed_one(tmp_path, plain):
    for n_done in (1, 5, 6, 14):
        code = KILLED.format(tests=os.path.dirname(__file__), n_done=n_done)
        ended = subprocess.run([sys.executable, "-c", code, tmp_path], check=False, timeout=60)
        assert ended.returncode == 9
    assert len(list(tmp_path.glob("part-*.jsonl"))) == 3  # the fourth died with its last pull
    assert facts(pull_all(ARMS, QUERIES, folder=tmp_path, settings=PullSettings(part_size=2))) == facts(plain)


@pytest.mark.parametrize(
    ("arms", "queries", "settings", "what"),
    [
        ((Drawing("a"), Drawing("c")), QUERIES, {}, "arms"),
        (ARMS[::-1], QUERIES, {}, "arms"),
        ((Counting("a"), ARMS[1]), QUERIES, {}, "arms"),
        (ARMS, QUERIES[:5], {}, "queries"),
        (ARMS, QUERIES, {"seed": 1}, "settings"),
        (ARMS, QUERIES, {"retries": 1}, "settings"),
    ],
)
def test_a_folder_of_another_job_is_rejected(tmp_path, arms, queries, settings, what):
    pull_all(ARMS, QUERIES, folder=tmp_path)
    with pytest.raises(ValueError, match=f"was begun with other {what}; name another folder"):
        pull_all(arms, queries, folder=tmp_path, settings=PullSettings(**settings))


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda part, other: part.write_bytes(part.read_bytes()[:-5]), "is damaged (its lines are not those"),
        (lambda part, other: part.write_bytes(b""), "is damaged ("),
        (lambda part, other: part.write_bytes(b"\xff\xfe"), "is damaged ("),
        (lambda part, other: part.write_text("[]\n"), "is damaged ("),
        (lambda part, other: part.write_bytes(other.read_bytes()), "belongs to another job"),
        (lambda part, other: (part.parent / "part-00001.jsonl").replace(part), "holds other pulls than its name says"),
    ],
)
def test_a_damaged_or_foreign_part_is_rejected_by_name(tmp_path, spoil, rule):
    settings = PullSettings(part_size=3)
    for folder, seed in (("own", 0), ("other", 1)):
        pull_all(ARMS, QUERIES, folder=tmp_path / folder, settings=PullSettings(part_size=3, seed=seed))
    part = tmp_path / "own" / "part-00000.jsonl"
    spoil(part, tmp_path / "other" / "part-00000.jsonl")
    with pytest.raises(ValueError, match=re.escape(f"{part} {rule}")):
        pull_all(ARMS, QUERIES, folder=tmp_path / "own", settings=settings)


def test_a_folder_in_use_is_rejected(tmp_path):
    def again(n_done, n_total):
        pull_all(ARMS, QUERIES, folder=tmp_path)

    with pytest.raises(
        RuntimeError, match=re.escape(f"{tmp_path} is in use by this process itself: close that job first")
    ):
        pull_all(ARMS, QUERIES, folder=tmp_path, on_progress=again)


@pytest.mark.parametrize(
    ("answer", "error", "rule"),
    [
        ("red", TypeError, "arm 'a' on query 'q0': pull must return an Observation, got 'red'"),
        (Observation("b", "q0", "", 0, 0.0), ValueError, "pull must return an observation of that arm and query"),
        (Observation("a", "q1", "", 0, 0.0), ValueError, "pull must return an observation of that arm and query"),
    ],
)
def test_an_arm_that_breaks_its_contract_ends_the_job(answer, error, rule):
    class Wrong(Drawing):
        def pull(self, query, seed):
            return answer

    with pytest.raises(error, match=re.escape(rule)):
        pull_all([Wrong("a")], QUERIES)


@pytest.mark.parametrize(
    ("arms", "queries", "rule"),
    [
        ([], QUERIES, "pull_all needs at least one arm, got none"),
        (ARMS, [], "pull_all needs at least one query, got none"),
        ([ARMS[0], ARMS[0]], QUERIES, "arm names must be unique, got a second 'a'"),
        (ARMS, [QUERIES[0], QUERIES[0]], "query ids must be unique, got 'q0' 2 times"),
    ],
)
def test_arms_and_queries_are_some_and_named_once(arms, queries, rule):
    with pytest.raises(ValueError, match=rule):
        pull_all(arms, queries)


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("seed", -1, "seed must be an integer >= 0, got -1"),
        ("retries", 1.5, "retries must be an integer >= 0, got 1.5"),
        ("part_size", 0, "part_size must be an integer >= 1, got 0"),
        ("backoff_s", float("nan"), "backoff_s must be a finite number >= 0, got nan"),
        ("timeout_s", 0, "timeout_s must be a finite number > 0, got 0"),
    ],
)
def test_settings_out_of_range_are_rejected(setting, value, rule):
    with pytest.raises(ValueError, match=re.escape(rule)):
        PullSettings(**{setting: value})


def test_a_text_where_a_query_is_due_is_one_error():
    with pytest.raises(TypeError, match=r"a query must be a Query, got 'q': write Query\(id=\.\.\., prompt="):
        pull_all([Drawing("a")], [QUERIES[0], "q"])
