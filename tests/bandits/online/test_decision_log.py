"""A decision log keeps whole records only, tells a crash from damage, and is read while it is written."""

import json
import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from arms import Observation
from bandits import Decision, DecisionLog, LoggedData
from bandits.online import PolicyVersion, TornRecordWarning

NAMES = ("a", "b", "c")
MAKER = PolicyVersion("Uniform", "7", "hashing-4")


def decide(log, query_id, arm="a", probabilities=(0.5, 0.25, 0.25), available=None):
    drawn_from = dict(zip(NAMES, probabilities, strict=True))
    number = log.next_number()
    context = np.full(4, number, np.float32)
    log.decided(
        number, query_id, context, Decision(arm, NAMES.index(arm), drawn_from[arm], drawn_from), MAKER, available
    )


def fill(folder, n, **settings):
    with DecisionLog(folder, **settings) as log:
        for i in range(n):
            decide(log, f"q{i}", NAMES[i % 3])
            log.rewarded(f"q{i}", i / 10)
    return log


def last_segment(folder):
    return max(folder.glob("segment-*.jsonl"))


def test_decisions_and_rewards_come_back_as_logged_data(tmp_path):
    with DecisionLog(tmp_path) as log:
        decide(log, "first", "b", (0.5, 0.5, 0.0), available=("a", "b"))
        decide(log, "second", "c")
        log.rewarded("second", 2.0)
        log.rewarded("first", -1.0)
        data = log.to_logged_data()
    assert isinstance(data, LoggedData)
    assert (data.arm_names, data.query_ids, data.encoder) == (NAMES, ("first", "second"), "hashing-4")
    assert data.actions.tolist() == [1, 2]
    assert data.rewards.tolist() == [-1.0, 2.0]
    assert data.propensities.tolist() == [0.5, 0.25]
    assert data.action_probabilities.tolist() == [[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]]
    assert data.available.tolist() == [[True, True, False], [True, True, True]]
    assert data.contexts.tolist() == [[0.0] * 4, [1.0] * 4]
    assert (np.diff(data.times) >= 0).all()


def test_contexts_and_propensities_come_back_bit_by_bit(tmp_path):
    rng = np.random.default_rng(0)
    row, share = rng.random(4).astype(np.float32) * np.float32(1e-30), float(rng.random())
    with DecisionLog(tmp_path) as log:
        log.decided(log.next_number(), "q", row, Decision("a", 0, share, {"a": share, "b": 1 - share}), MAKER)
        log.rewarded("q", share)
    data = DecisionLog.load(tmp_path)
    assert data.contexts[0].tobytes() == row.tobytes()
    assert (data.propensities[0], data.rewards[0]) == (share, share)


def test_open_decisions_are_left_out_or_get_the_reward_asked_for(tmp_path):
    with DecisionLog(tmp_path) as log:
        decide(log, "open")
        with pytest.raises(ValueError, match="no rewarded decision yet"):
            log.to_logged_data()
        decide(log, "rewarded")
        log.rewarded("rewarded", 1.0)
        assert log.open_queries == ("open",)
        assert log.to_logged_data().query_ids == ("rewarded",)
        assert log.to_logged_data(open_reward=0.25).rewards.tolist() == [0.25, 1.0]


def test_a_record_is_on_the_disk_before_the_call_returns(tmp_path):
    with DecisionLog(tmp_path) as log:
        decide(log, "q")
        records = [json.loads(line) for line in last_segment(tmp_path).read_text().splitlines()]
    assert [record["kind"] for record in records] == ["segment", "decided"]
    assert {"number", "time", "query", "context", "arm", "propensity", "probabilities", "available"} <= set(records[1])
    assert (records[1]["policy"], records[1]["version"], records[1]["encoder"]) == ("Uniform", "7", "hashing-4")


@pytest.mark.parametrize(("sync_every", "n_syncs"), [(1, 20), (5, 4), (0, 0)])
def test_fsync_is_called_as_often_as_asked(tmp_path, monkeypatch, sync_every, n_syncs):
    with DecisionLog(tmp_path, sync_every=sync_every) as log:
        calls = []
        monkeypatch.setattr(os, "fsync", lambda handle: calls.append(handle))
        for i in range(10):
            decide(log, f"q{i}")
            log.rewarded(f"q{i}", 1.0)
        assert len(calls) == n_syncs


def test_a_log_goes_on_after_reopening(tmp_path):
    with DecisionLog(tmp_path) as log:
        decide(log, "done")
        log.rewarded("done", 1.0)
        decide(log, "open", "b")
    with DecisionLog(tmp_path) as log:
        assert (log.n_decisions, log.open_queries) == (2, ("open",))
        made = log.decision("open")
        assert (made.number, made.decision.arm, made.decision.propensity) == (1, "b", 0.25)
        with pytest.raises(ValueError, match=r"rewarded before, with 1.0"):
            log.rewarded("done", 2.0)
        log.rewarded("open", 3.0)
    assert DecisionLog.load(tmp_path).rewards.tolist() == [1.0, 3.0]


def test_segments_stay_small_and_carry_what_is_open(tmp_path):
    with DecisionLog(tmp_path, segment_bytes=2000) as log:
        decide(log, "long open")
        for i in range(50):
            decide(log, f"q{i}")
            log.rewarded(f"q{i}", 1.0)
    sizes = [file.stat().st_size for file in tmp_path.glob("segment-*.jsonl")]
    assert len(sizes) > 5
    assert max(sizes) < 3000
    with DecisionLog(tmp_path, segment_bytes=2000) as log:
        assert log.open_queries == ("long open",)
        assert log.decision("long open").number == 0
        log.rewarded("long open", 9.0)
    assert DecisionLog.load(tmp_path).rewards.tolist() == [9.0] + [1.0] * 50


@pytest.mark.parametrize("cut", [1, 2, 30, 150])
def test_a_torn_last_record_is_removed_with_a_warning(tmp_path, cut):
    fill(tmp_path, 3)
    file = last_segment(tmp_path)
    file.write_bytes(file.read_bytes()[:-cut])  # a part of the third reward, or all of it and of what it rewards
    assert len(DecisionLog.load(tmp_path, open_reward=0.0)) in (2, 3)  # readers see whole records only
    with pytest.warns(TornRecordWarning, match="cut off by a crash"):
        log = DecisionLog(tmp_path)
    for query_id in log.open_queries:
        log.rewarded(query_id, 7.0)
    log.close()
    assert DecisionLog.load(tmp_path).rewards.tolist()[:2] == [0.0, 0.1]
    with DecisionLog(tmp_path) as log:
        assert log.open_queries == ()


def test_zeros_in_the_place_of_the_last_record_are_a_torn_one(tmp_path):
    fill(tmp_path, 2)
    file = last_segment(tmp_path)
    file.write_bytes(file.read_bytes() + bytes(100))
    with pytest.warns(TornRecordWarning, match="100 bytes were removed"):
        DecisionLog(tmp_path).close()
    assert len(DecisionLog.load(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["flip", "newline"])
def test_damage_in_the_middle_is_refused_with_its_place(tmp_path, damage):
    fill(tmp_path, 3)
    file = last_segment(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    offset = sum(map(len, lines[:2]))
    content = bytearray(b"".join(lines))
    place = offset + (40 if damage == "flip" else len(lines[2]) - 1)
    content[place] ^= 1
    file.write_bytes(bytes(content))
    for action in (lambda: DecisionLog(tmp_path), lambda: DecisionLog.load(tmp_path)):
        with pytest.raises(ValueError, match=rf"segment-00000000.jsonl is damaged at byte {offset}"):
            action()


def test_a_cut_older_segment_and_a_missing_one_are_refused(tmp_path):
    fill(tmp_path, 20, segment_bytes=2000)
    first, second, *_ = sorted(tmp_path.glob("segment-*.jsonl"))
    whole = first.read_bytes()
    first.write_bytes(whole[:-5])
    with pytest.raises(ValueError, match=r"segment-00000000.jsonl is damaged"):
        DecisionLog.load(tmp_path)
    first.write_bytes(whole)
    second.unlink()
    with pytest.raises(ValueError, match=r"segment-00000001.jsonl is missing"):
        DecisionLog(tmp_path)


def test_a_log_of_a_newer_format_is_refused(tmp_path):
    from bandits.online.segments import begin_segment

    begin_segment(tmp_path, 0, {"format": 99, "next_number": 0, "open": {}})
    with pytest.raises(ValueError, match="format version 99"):
        DecisionLog(tmp_path)


def test_a_folder_in_use_is_refused(tmp_path):
    with DecisionLog(tmp_path):
        with pytest.raises(RuntimeError, match="in use by this process itself"):
            DecisionLog(tmp_path)
        code = f"from bandits import DecisionLog; DecisionLog({str(tmp_path)!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert f"is in use by process {os.getpid()}: close that decision log first" in other.stderr
    DecisionLog(tmp_path).close()


def test_what_does_not_fit_is_refused_and_not_written(tmp_path):
    with DecisionLog(tmp_path) as log:
        decide(log, "q")
        size = last_segment(tmp_path).stat().st_size
        with pytest.raises(ValueError, match="'q' has a decision that waits for its reward"):
            decide(log, "q")
        with pytest.raises(ValueError, match="no decision waits for a reward of query 'x'"):
            log.rewarded("x", 1.0)
        for value in (float("nan"), float("inf"), "1"):
            with pytest.raises(ValueError, match="must be a finite number"):
                log.rewarded("q", value)
        with pytest.raises(ValueError, match="context must be finite"):
            log.decided(9, "r", [np.nan], Decision("a", 0, 1.0, {"a": 1.0}), MAKER)
        assert last_segment(tmp_path).stat().st_size == size
        log.rewarded("q", 1.0)
        decide(log, "q")  # it may be asked again once it is rewarded
        log.rewarded("q", 2.0)
    assert DecisionLog.load(tmp_path).rewards.tolist() == [1.0, 2.0]
    with pytest.raises(FileNotFoundError, match="holds no decision log"):
        DecisionLog.load(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="sync_every"):
        DecisionLog(tmp_path, sync_every=-1)


def test_contexts_of_two_encoders_in_one_log_are_refused(tmp_path):
    with DecisionLog(tmp_path) as log:
        decide(log, "q")
        log.decided(
            log.next_number(), "r", np.zeros(5), Decision("a", 0, 1.0, {"a": 1.0}), PolicyVersion("P", "0", "e")
        )
    both = r"decision 0 \(4 features\) and decision 1 \(5 features\) must have contexts of one encoder"
    with pytest.raises(ValueError, match=rf"{both}, got 'hashing-4' and 'e'"):
        DecisionLog.load(tmp_path, open_reward=0.0)


def test_an_observation_is_kept_with_its_reward(tmp_path):
    seen = Observation("a", "q", text="so", n_tokens=3, seconds=0.5)
    with DecisionLog(tmp_path) as log:
        decide(log, "q")
        log.rewarded("q", 1.0, seen)
    [*_, line] = last_segment(tmp_path).read_text().splitlines()
    assert Observation.from_dict(json.loads(line)["observation"]) == seen


def test_a_write_that_fails_leaves_no_trace(tmp_path, monkeypatch):
    with DecisionLog(tmp_path) as log:
        decide(log, "q")
        write = os.write

        def full_disk(handle, content):
            if len(content) < 10:
                raise OSError(28, "No space left on device")
            return write(handle, content[:9] if len(content) > 20 else content[:5])

        monkeypatch.setattr(os, "write", full_disk)
        with pytest.raises(OSError, match="No space left"):
            log.rewarded("q", 1.0)
        monkeypatch.undo()
        log.rewarded("q", 2.0)
    assert DecisionLog.load(tmp_path).rewards.tolist() == [2.0]


def test_a_reader_beside_the_writer_sees_a_growing_prefix_of_whole_records(tmp_path):
    seen, done = [], threading.Event()

    def read():
        while not done.is_set():
            seen.append(len(DecisionLog.load(tmp_path)))

    with DecisionLog(tmp_path, sync_every=0, segment_bytes=5000) as log:
        decide(log, "first")
        log.rewarded("first", 0.0)
        reader = threading.Thread(target=read)
        reader.start()
        for i in range(300):
            decide(log, f"q{i}")
            log.rewarded(f"q{i}", 0.0)
        done.set()
        reader.join()
    assert seen == sorted(seen)
    assert len(DecisionLog.load(tmp_path)) == 301


def test_memory_does_not_grow_with_the_decisions_logged(tmp_path):
    with DecisionLog(tmp_path, sync_every=0) as log:

        def serve(first, n):
            for i in range(first, first + n):
                decide(log, f"q{i}")
                log.rewarded(f"q{i}", 0.0)

        serve(0, 11_000)  # the queries remembered as rewarded are as many as they will ever be
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        serve(11_000, 2_000)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    assert grown < 300_000  # the remembered ones' own strings, traced now, replace older ones


def test_a_dropped_decision_is_closed_and_no_row(tmp_path):
    with DecisionLog(tmp_path) as log:
        decide(log, "kept")
        decide(log, "dropped")
        log.dropped("dropped", "refused")
        assert (log.status("kept"), log.status("dropped"), log.status("unknown")) == ("open", "closed", None)
        with pytest.raises(ValueError, match="'dropped' was dropped before"):
            log.rewarded("dropped", 1.0)
        decide(log, "dropped")
        log.rewarded("dropped", 2.0)
        assert log.to_logged_data(open_reward=0.0).rewards.tolist() == [0.0, 2.0]


def test_a_late_reward_is_kept_and_changes_nothing(tmp_path):
    with DecisionLog(tmp_path) as log:
        decide(log, "q")
        with pytest.raises(ValueError, match="no decision of query 'q' was closed lately"):
            log.late("q", 1.0)
        log.rewarded("q", 0.5)
        log.late("q", 1.0)
        with pytest.raises(ValueError, match="must be a finite number"):
            log.late("q", np.nan)
    with DecisionLog(tmp_path) as log:
        assert (log.status("q"), log.to_logged_data().rewards.tolist()) == ("closed", [0.5])


def test_a_note_is_no_decision_and_must_not_look_like_one(tmp_path):
    with DecisionLog(tmp_path) as log:
        decide(log, "q")
        place = log.noted("stage", {"stage": "live", "reason": "it is better"})
        log.rewarded("q", 0.5)
        with pytest.raises(ValueError, match="kind must be none of the log's own records"):
            log.noted("rewarded", {})
        with pytest.raises(ValueError, match="facts must not hold a kind, which is the record's, got 'rewarded'"):
            log.noted("stage", {"kind": "rewarded", "number": 0})
    with DecisionLog(tmp_path) as log:
        assert (log.n_decisions, len(log.to_logged_data()), place.segment) == (1, 1, 0)
