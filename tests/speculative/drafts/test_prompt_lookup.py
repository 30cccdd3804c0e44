import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.prompt_lookup import PromptLookup
from tests.support.tiny_models import bounded


def slow_lookup(prefix, max_ngram, min_ngram, draft_length):
    """Longest suffix that stands earlier in the prefix, latest occurrence; the copy reads on into itself."""
    for size in range(min(max_ngram, len(prefix) - 1), min_ngram - 1, -1):
        suffix = prefix[-size:]
        for begin in range(len(prefix) - size - 1, -1, -1):
            if prefix[begin : begin + size] == suffix:
                text = list(prefix)
                for i in range(draft_length):
                    text.append(text[begin + size + i])
                return text[len(prefix) :]
    return []


def slow_match_length(prefix, max_ngram, min_ngram):
    """Tokens of the longest suffix that stands earlier in the prefix."""
    return max(
        (
            size
            for size in range(min_ngram, max_ngram + 1)
            if any(prefix[begin : begin + size] == prefix[-size:] for begin in range(len(prefix) - size))
        ),
        default=0,
    )


texts = st.integers(1, 6).flatmap(lambda v: st.lists(st.integers(0, v), min_size=1, max_size=60))


@bounded(max_examples=300)
@given(
    text=texts,
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)).map(sorted),
    growth=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=12),
)
def test_every_proposal_of_a_growing_prefix_equals_the_slow_search(text, sizes, growth):
    min_ngram, max_ngram = sizes
    draft = PromptLookup(max_ngram, min_ngram=min_ngram)
    session = draft.open(text[:1])
    end = 0
    for n_new, draft_length in growth:
        end = min(len(text), end + n_new)
        expected = slow_lookup(text[:end], max_ngram, min_ngram, draft_length)
        assert session.match_length(text[:end]) == slow_match_length(text[:end], max_ngram, min_ngram)
        assert draft.open(text[:1]).match_length(text[:end]) == session.match_length(text[:end])
        assert bool(expected) == (session.match_length(text[:end]) > 0)
        assert session.propose(text[:end], draft_length).token_ids == expected
        assert draft.open(text[:1]).propose(text[:end], draft_length).token_ids == expected


def test_the_longest_match_wins_over_a_later_shorter_one():
    assert PromptLookup(2).open([]).propose([1, 2, 7, 9, 2, 8, 1, 2], 1).token_ids == [7]
    assert PromptLookup(1).open([]).propose([1, 2, 7, 9, 2, 8, 1, 2], 1).token_ids == [8]


def test_a_repetition_is_drawn_out():
    assert PromptLookup().open([]).propose([9, 1, 2, 3, 1, 2, 3], 7).token_ids == [1, 2, 3, 1, 2, 3, 1]


def test_nothing_seen_before_gives_no_proposal():
    assert PromptLookup().open([]).propose([1, 2, 3], 4).token_ids == []
    assert PromptLookup(4, min_ngram=2).open([]).propose([1, 2, 1], 4).token_ids == []


@pytest.mark.parametrize("sizes", [(0, 0), (1, 2), (3, 0)])
def test_sizes_out_of_order_are_refused(sizes):
    with pytest.raises(ValueError, match=r"min_ngram must be (an integer >= 1|<= max_ngram), got"):
        PromptLookup(sizes[0], min_ngram=sizes[1])


@bounded(max_examples=60)
@given(text=st.lists(st.integers(0, 3), min_size=2, max_size=30), n_prompt=st.integers(1, 29), length=st.integers(1, 8))
def test_a_trace_counts_what_the_text_confirms(text, n_prompt, length):
    prompt, new = text[:n_prompt], text[n_prompt:]
    found = PromptLookup().trace(prompt, new, length)
    proposed, accepted = found.proposed, found.accepted
    assert len(proposed) == len(accepted) == len(new)
    for j in range(1, len(new)):
        expected = slow_lookup(text[: len(prompt) + j], 4, 1, length)
        rest = new[j:]
        n_right = 0
        while n_right < min(len(expected), len(rest)) and expected[n_right] == rest[n_right]:
            n_right += 1
        assert (proposed[j], accepted[j]) == (len(expected), n_right)
        assert found.match_length(j) == slow_match_length(text[: len(prompt) + j], 4, 1)
