"""What both kinds of data share: every declared column is chosen, joined, aligned and stored alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arms import Observation, Reference
from bandits import FullInformationData, LoggedData

K = 3
NAMES = ("b", "a", "c")


def full(n=5, seed=0):
    rng = np.random.default_rng(seed)
    observed = rng.random((n, K)) < 0.6
    observed[np.arange(n), np.arange(n) % K] = True
    cells = [[Observation(name, f"q{i}", "text", 1, 2.0) for name in NAMES] for i in range(n)]
    return FullInformationData(
        rng.normal(size=(n, 2)),
        rng.normal(size=(n, K)),
        NAMES,
        observed=observed,
        costs=rng.random((n, K)),
        times=np.arange(n),
        query_ids=[f"q{i}" for i in range(n)],
        domains=["x", None] * (n // 2) + ["y"] * (n % 2),
        observations=[
            [o if seen else None for o, seen in zip(*pair, strict=True)] for pair in zip(cells, observed, strict=True)
        ],
        encoder="hashing-2",
    )


def logged(n=5, seed=0):
    rng = np.random.default_rng(seed)
    available = rng.random((n, K)) < 0.6
    actions = np.arange(n) % K
    available[np.arange(n), actions] = True
    probabilities = available / available.sum(axis=1, keepdims=True)
    return LoggedData(
        rng.normal(size=(n, 2)),
        actions,
        rng.normal(size=n),
        probabilities[np.arange(n), actions],
        NAMES,
        available=available,
        action_probabilities=probabilities,
        costs=rng.random(n),
        weights=rng.random(n),
        times=np.arange(n),
        query_ids=[f"q{i}" for i in range(n)],
        domains=["x", None] * (n // 2) + ["y"] * (n % 2),
        encoder="hashing-2",
        propensities_estimated=True,
    )


KINDS = pytest.mark.parametrize("make", [full, logged])


def same(left, right):
    assert type(left) is type(right)
    for column in left.columns:
        one, other = getattr(left, column.name), getattr(right, column.name)
        assert type(one) is type(other), column.name
        np.testing.assert_array_equal(one, other, err_msg=column.name)
    assert (left.arm_names, left.encoder) == (right.arm_names, right.encoder)
    assert [getattr(left, mark) for mark in left.marks] == [getattr(right, mark) for mark in right.marks]


@KINDS
def test_every_column_is_there_in_this_test(make):
    data = make()
    assert [column.name for column in data.columns if getattr(data, column.name) is None] == []


@KINDS
def test_saved_data_are_the_same_data(make, tmp_path):
    make().save(tmp_path)
    same(type(make()).load(tmp_path), make())


@KINDS
@settings(max_examples=25, deadline=None)
@given(cut=st.integers(1, 6), seed=st.integers(0, 99))
def test_parts_joined_again_are_the_whole(make, cut, seed):
    data = make(7, seed)
    same(type(data).concat([data.subset(np.arange(cut)), data.subset(np.arange(cut, 7))]), data)


@KINDS
@given(order=st.permutations(range(4)))
def test_arms_in_another_order_and_back_are_the_same_data(make, order):
    data = make()
    wanted = [(*NAMES, "new")[i] for i in order]
    aligned = data.with_arms(wanted)
    assert aligned.arm_names == tuple(wanted)
    back = aligned.select_arms(NAMES)
    for name in ("rewards", "contexts", "costs", "query_ids"):
        np.testing.assert_array_equal(getattr(back, name), getattr(data, name))


@KINDS
def test_what_is_derived_stays_read_only_and_checked_data(make):
    data = make().subset([4, 0, 0])
    assert len(data) == 3
    for column in data.columns:
        values = getattr(data, column.name)
        if isinstance(values, np.ndarray):
            assert not values.flags.writeable, column.name


def test_rows_that_are_all_observed_need_no_mask():
    data = full(6)
    whole = data.subset(data.complete)
    assert whole.observed is None
    assert whole.observed_mask.all()


@KINDS
def test_a_repr_tells_sizes_and_never_contents(make):
    few, many = repr(make(5)), repr(make(50))
    assert len(few) < 300
    assert few.replace("5 rows", "50 rows") == many
    for part in (make().kind, "5 rows", "2 features", "3 arms: b, a, c", "encoder: hashing-2", "query_ids"):
        assert part in few


def test_a_repr_of_many_arms_is_cut():
    data = FullInformationData(np.ones((1, 1)), np.ones((1, 500)), [f"arm_{i}" for i in range(500)])
    assert "500 arms: arm_0, " in repr(data)
    assert len(repr(data)) < 200


@KINDS
def test_a_notebook_shows_one_row_an_arm_with_names_escaped(make):
    table = make().with_arms((*NAMES, "<b>"))._repr_html_()
    assert table.count("<tr>") == 1 + 4
    assert "&lt;b&gt;" in table
    assert "<td>&lt;b&gt;</td><td>0</td><td>nan</td>" in table


def test_a_notebook_shows_means_of_what_was_seen():
    log = LoggedData(np.ones((3, 1)), [0, 0, 1], [1.0, 3.0, 5.0], [0.5] * 3, ("x", "y"))
    assert "<td>x</td><td>2</td><td>2</td>" in log._repr_html_()
    data = FullInformationData(np.ones((2, 1)), [[1, 9], [3, 0]], ("x", "y"), observed=[[True, True], [True, False]])
    assert "<td>y</td><td>1</td><td>9</td>" in data._repr_html_()


@pytest.mark.parametrize(
    "make",
    [
        lambda: LoggedData([[1.0]], [0], [1.0], [0.5], ("a", "b"), [[True, True]]),
        lambda: FullInformationData([[1.0]], [[1.0, 2.0]], ("a", "b"), [[True, True]]),
    ],
)
def test_optional_columns_are_given_by_name_only(make):
    with pytest.raises(TypeError, match="positional"):
        make()


def test_a_text_that_arms_share_is_stored_and_held_once(tmp_path):
    text = "the target's own text " * 20
    row = [Observation(name, "q", text, 1, 2.0, own_text=text, reference=Reference(text, 3.0, 1)) for name in NAMES]
    data = FullInformationData(np.ones((1, 1)), np.ones((1, 3)), NAMES, observations=[row])
    data.save(tmp_path)
    loaded = FullInformationData.load(tmp_path)
    assert loaded.observations == data.observations
    held = {id(part) for o in loaded.observations[0] for part in (o.text, o.own_text, o.reference.text)}
    assert len(held) == 1
