import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.protocols.request import Request, cut
from tests.support.tiny_models import bounded

small = st.integers(0, 4)


@bounded(max_examples=200)
@given(
    token_ids=st.lists(small, min_size=1, max_size=8),
    eos_ids=st.lists(small, max_size=2),
    remaining=st.integers(1, 8),
)
def test_a_cut_text_is_the_longest_prefix_that_may_stand(token_ids, eos_ids, remaining):
    kept, finished = cut(token_ids, eos_ids, remaining)
    assert kept == token_ids[: len(kept)]
    assert len(kept) <= remaining
    assert not set(kept[:-1]) & set(eos_ids)
    if finished == "eos":
        assert kept[-1] in eos_ids
    elif finished == "length":
        assert len(kept) == remaining
        assert kept[-1] not in eos_ids
    else:
        assert finished is None
        assert kept == token_ids
        assert len(kept) < remaining


def test_a_request_without_prompt_or_answer_is_refused():
    with pytest.raises(ValueError, match="request 'a': the prompt must hold at least one token"):
        Request("a", (), 3)
    with pytest.raises(ValueError, match="request 'a': max_new_tokens must be >= 1, got 0"):
        Request("a", (1,), 0)


def test_stop_strings_that_would_end_every_text_or_no_text_are_refused():
    with pytest.raises(ValueError, match="request 'a': a stop string must hold at least one character, got ''"):
        Request("a", (1,), 1, stop=("b", ""))
    with pytest.raises(TypeError, match="request 'a': stop must be a tuple of strings, got the string 'end'"):
        Request("a", (1,), 1, stop="end")
