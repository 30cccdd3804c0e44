import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arms import Observation, Reference
from rewards import RougeL

TEXTS = st.lists(st.sampled_from(["the", "The", "cat", "sat", "on", "a", "mat", "où", "7", "!"]), max_size=12).map(
    " ".join
)


def observe(own_text: str | None, target_text: str | None) -> Observation:
    reference = None if target_text is None else Reference(text=target_text, seconds=1.0, n_tokens=1)
    return Observation(arm="a", query_id="q", text="", n_tokens=0, seconds=0.0, own_text=own_text, reference=reference)


def naive_lcs(left: list[str], right: list[str]) -> int:
    """The textbook recurrence, as a table."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, word in enumerate(left, start=1):
        for j, other in enumerate(right, start=1):
            table[i][j] = table[i - 1][j - 1] + 1 if word == other else max(table[i - 1][j], table[i][j - 1])
    return table[-1][-1]


def test_value_by_hand():
    # LCS "the cat on the mat": 5 of 6 words in one text and 5 of 7 in the other.
    value = RougeL()(observe("The cat sat on the mat.", "the black cat is on THE mat"))
    assert value == pytest.approx(2 * (5 / 6) * (5 / 7) / (5 / 6 + 5 / 7))


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_equals_the_naive_reference(own_text, target_text):
    left, right = (re.findall(r"\w+", text.lower()) for text in (own_text, target_text))
    expected = 2 * naive_lcs(left, right) / (len(left) + len(right)) if left or right else 1.0
    assert RougeL()(observe(own_text, target_text)) == expected


@settings(deadline=None)
@given(st.text(), st.text())
def test_is_symmetric_and_within_bounds(own_text, target_text):
    value = RougeL()(observe(own_text, target_text))
    assert value == RougeL()(observe(target_text, own_text))
    assert 0.0 <= value <= 1.0


@settings(deadline=None)
@given(st.text())
def test_identical_texts_agree_fully(text):
    assert RougeL()(observe(text, text)) == 1.0


def test_texts_without_words():
    assert RougeL()(observe("", "...")) == 1.0
    assert RougeL()(observe("", "word")) == 0.0


def test_missing_own_text_is_refused_unless_a_stand_in_is_given():
    rule = "RougeL cannot value the observation of arm 'a' on query 'q': own_text"
    with pytest.raises(ValueError, match=rule):
        RougeL()(observe(None, "text"))
    assert RougeL(missing=0.25)(observe(None, None)) == 0.25
    assert RougeL(missing=0.25)(observe("same", "same")) == 1.0


def test_missing_reference_is_refused():
    with pytest.raises(ValueError, match="RougeL cannot value the observation of arm 'a' on query 'q': reference"):
        RougeL(missing=0.0)(observe("text", None))


@pytest.mark.parametrize("missing", [-0.1, 1.1, float("nan")])
def test_stand_in_must_be_a_possible_value(missing):
    with pytest.raises(ValueError, match=re.escape(f"missing must be a finite number in [0, 1], got {missing}")):
        RougeL(missing=missing)
