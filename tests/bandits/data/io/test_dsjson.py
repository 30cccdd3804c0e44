"""Vowpal Wabbit's dsjson: what is written is read back exactly, and what is wrong is told by line, field and value."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from bandits import LoggedData
from bandits.data.io import read_dsjson, write_dsjson

ARMS = ("none", "n-gram", "suffix")
VW_LINE = {  # as VW's own tests and the wiki have it
    "_label_cost": -1.0,
    "_label_probability": 0.8,
    "_label_Action": 2,
    "_labelIndex": 1,
    "o": [{"v": 1.0, "EventId": "38cb", "ActionTaken": False}],
    "Timestamp": "2020-11-15T17:09:31.8350000Z",
    "Version": "1",
    "EventId": "38cb",
    "a": [2, 1],
    "c": {
        "GUser": {"id": "person5", "age": 31, "member": True, "_private": "x"},
        "_multi": [{"TAction": {"topic": "Skiing"}}, {"TAction": {"topic": "Herbs"}}],
    },
    "p": [0.8, 0.2],
    "VWState": {"m": "N/A"},
}


def served(n=40):
    """A log as a service writes it, in which the last arm is sometimes down."""
    rng = np.random.default_rng(3)
    available = np.ones((n, 3), bool)
    available[rng.random(n) < 0.3, 2] = False
    available[0] = True
    whole = rng.random((n, 3)) * available
    whole /= whole.sum(axis=1, keepdims=True)
    actions = np.array([rng.choice(3, p=row) for row in whole])
    return LoggedData(
        rng.normal(size=(n, 4)).astype(np.float32),
        actions,
        rng.normal(size=n),
        whole[np.arange(n), actions],
        ARMS,
        available=available,
        action_probabilities=whole,
        times=1.7e9 + rng.random(n) * 1e6,
        query_ids=tuple(f"dp-{i}é" for i in range(n)),
        encoder="hashing-4",
    )


def wrote(folder, *lines):
    path = folder / "log.dsjson"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_what_is_written_is_read_back_exactly(tmp_path):
    log = served()
    write_dsjson(log, tmp_path / "log.dsjson")
    back = read_dsjson(tmp_path / "log.dsjson")
    for name in ("contexts", "actions", "rewards", "propensities", "available", "action_probabilities", "times"):
        np.testing.assert_array_equal(getattr(back, name), getattr(log, name), err_msg=name)
    assert (back.arm_names, back.query_ids, back.encoder) == (log.arm_names, log.query_ids, log.encoder)


def test_a_log_of_four_columns_is_read_back_too(tmp_path):
    log = LoggedData(np.eye(2, dtype=np.float32), [1, 0], [0.0, -0.5], [0.25, 0.5], ARMS[:2])
    write_dsjson(log, tmp_path / "log.dsjson")
    back = read_dsjson(tmp_path / "log.dsjson")
    assert (back.times, back.query_ids, back.action_probabilities, back.encoder) == (None, None, None, None)
    np.testing.assert_array_equal(back.contexts, log.contexts)
    assert back.rewards.tolist() == [0.0, -0.5]


def test_the_lines_have_the_published_fields_and_the_arm_taken_first(tmp_path):
    log = served()
    write_dsjson(log, tmp_path / "log.dsjson")
    for row, text in enumerate((tmp_path / "log.dsjson").read_text().splitlines()):
        line = json.loads(text)
        taken = line["c"]["_multi"][line["_labelIndex"]]["_tag"]
        assert taken == ARMS[log.actions[row]]
        assert line["a"][0] == line["_label_Action"] == line["_labelIndex"] + 1
        assert line["p"][0] == line["_label_probability"]
        assert line["_label_cost"] == -log.rewards[row]
        assert set(VW_LINE) == set(line)


def test_a_line_of_another_service_is_read_as_vowpal_wabbit_takes_it(tmp_path):
    other = {**VW_LINE, "c": {**VW_LINE["c"], "GUser": {"id": "person6", "age": 40}}, "EventId": "39"}
    log = read_dsjson(wrote(tmp_path, VW_LINE, "", other))
    assert log.contexts.tolist() == [[1, 31, 1, 0], [0, 40, 0, 1]]  # id=person5, age, member, id=person6
    assert log.arm_names == ('{"TAction": {"topic": "Skiing"}}', '{"TAction": {"topic": "Herbs"}}')
    assert log.actions.tolist() == [1, 1]
    assert log.rewards.tolist() == [1.0, 1.0]
    assert log.action_probabilities.tolist() == [[0.2, 0.8]] * 2
    assert log.times.tolist() == [1605460171.835] * 2
    assert log.query_ids == ("38cb", "39")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"_label_probability": 1.5}, r"_label_probability must be in \(0, 1\], got 1.5"),
        ({"_label_probability": 0.5}, "p must be _label_probability 0.5 for the arm taken, got 0.8"),
        ({"_label_cost": "free"}, "_label_cost must be a finite number, got 'free'"),
        ({"_label_Action": 3}, "_label_Action must be a place among 2 arms, counted from 1, got 3"),
        ({"_label_Action": 1}, r"_label_Action must be _labelIndex \+ 1 = 2, got 1"),
        ({"_label_Action": None, "_labelIndex": None}, "_labelIndex must be there"),
        ({"Timestamp": "yesterday"}, "Timestamp must be a time such as .*, got 'yesterday'"),
        ({"EventId": 7}, "EventId must be a string, got 7"),
        ({"a": [2, 2]}, r"a must be each of the 2 arms once, got \[2, 2\]"),
        ({"p": [0.8, 0.3]}, "p must be probabilities that sum to 1"),
        ({"c": {"_multi": []}}, "c._multi must be a list of the arms"),
        ({"c": {"_multi": [{"_tag": "a"}, {"_tag": "a"}]}}, "c._multi must be arms that differ, got 'a'"),
        ({"c": {"x": [1, 2], "_multi": VW_LINE["c"]["_multi"]}}, "c must hold its features in one form"),
        ({"c": {**VW_LINE["c"], "G": [{"n": 1}, {"n": 2}]}}, r"c.G must be features of different names \(G.n is"),
        ({"c": {**VW_LINE["c"], "GUser.age": 2}}, r"c.GUser.age must be features of different names"),
        ({"_skipLearn": True}, "_skipLearn must be false"),
        ({"pdrop": 0.5}, "pdrop must be 0"),
    ],
)
def test_what_is_wrong_is_told_by_line_field_and_value(tmp_path, change, told):
    with pytest.raises(ValueError, match=f"log.dsjson: line 2: {told}"):
        read_dsjson(wrote(tmp_path, VW_LINE, {**VW_LINE, **change}))


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, '{"_label_cost": 1e999}', "\x00"])
def test_what_is_no_line_is_one_clear_error(tmp_path, text):
    with pytest.raises(ValueError, match="line 1: "):
        read_dsjson(wrote(tmp_path, text))


@pytest.mark.parametrize("form", ["numbers", "named"])
def test_reading_takes_little_more_memory_than_the_table(tmp_path, form):
    n, d = 200, 512
    values = np.random.default_rng(0).normal(size=d).tolist()
    context = {"x": values} if form == "numbers" else {"x": {f"f{i}": value for i, value in enumerate(values)}}
    text = json.dumps({**VW_LINE, "c": {**context, "_multi": VW_LINE["c"]["_multi"]}})
    read_dsjson(wrote(tmp_path, text))  # what is imported for the first file does not count
    path = wrote(tmp_path, *[text] * n)
    tracemalloc.start()
    log = read_dsjson(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert log.contexts.shape == (n, d)
    assert peak < (4 if form == "numbers" else 12) * log.contexts.nbytes  # named ones are kept with their places


def test_parts_are_written_as_the_whole_log_is(tmp_path):
    log = served()
    assert write_dsjson(log, tmp_path / "whole.dsjson") == 40
    parts = (log.subset(np.arange(start, start + 8)) for start in range(0, 40, 8))
    assert write_dsjson(parts, tmp_path / "parts.dsjson") == 40
    assert (tmp_path / "parts.dsjson").read_bytes() == (tmp_path / "whole.dsjson").read_bytes()
    with pytest.raises(ValueError, match="row 40 is of the encoder 'other', those before of 'hashing-4'"):
        write_dsjson([log, replace(log, encoder="other")], tmp_path / "two.dsjson")
    with pytest.raises(ValueError, match="at least one row"):
        write_dsjson([], tmp_path / "none.dsjson")
    assert len(list(tmp_path.iterdir())) == 2


def test_what_has_no_field_is_not_left_out_in_silence(tmp_path):
    with pytest.raises(ValueError, match="no field for costs"):
        write_dsjson(replace(served(), costs=np.ones(40)), tmp_path / "log.dsjson")
    with pytest.raises(ValueError, match="row 0: times must be"):
        write_dsjson(replace(served(), times=np.full(40, 1e-9)), tmp_path / "log.dsjson")
    assert list(tmp_path.iterdir()) == []
