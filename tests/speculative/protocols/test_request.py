import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.protocols.request import Request, cut
from speculative.sampling.sampling_params import SamplingParams
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


def test_the_samplings_length_is_the_requests():
    assert Request("a", (1,), 3, sampling=SamplingParams(max_new_tokens=3)).max_new_tokens == 3
    with pytest.raises(ValueError, match="request 'a': max_new_tokens must be the sampling's, 4, got 3"):
        Request("a", (1,), 3, sampling=SamplingParams(max_new_tokens=4))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"id": 3}, TypeError, "a request's id must be a string, got 3"),
        ({"token_ids": [1, 2]}, TypeError, "token_ids must be a tuple of ints, got [1, 2]"),
        ({"token_ids": (1, 2.0)}, TypeError, "token_ids must be a tuple of ints, got (1, 2.0)"),
        ({"token_ids": (True, 2)}, TypeError, "token_ids must be a tuple of ints, got (True, 2)"),
        ({"eos_ids": [2]}, TypeError, "eos_ids must be a tuple of ints, got [2]"),
        ({"text": None}, TypeError, "text must be a string, got None"),
        ({"text": b"x"}, TypeError, "text must be a string, got b'x'"),
        ({"max_new_tokens": 2.0}, TypeError, "max_new_tokens must be an int, got 2.0"),
        ({"max_new_tokens": None}, TypeError, "max_new_tokens must be an int, got None"),
        ({"sampling": {"temperature": 1}}, TypeError, "sampling must be a SamplingParams, got {'temperature': 1}"),
        (
            {"sampling": SamplingParams(min_new_tokens=4)},
            ValueError,
            "min_new_tokens must be <= max_new_tokens = 3, got 4",
        ),
    ],
)
def test_a_field_of_another_type_is_rejected_by_name(changes, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Request(**({"id": "a", "token_ids": (1,), "max_new_tokens": 3} | changes))
