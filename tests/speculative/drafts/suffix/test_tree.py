import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.suffix.tree import SuffixTree
from tests.support.tiny_models import bounded


def slow_match(texts, context, max_match):
    """The longest suffix of `context` with a token after it in one of the texts, and what mostly comes next."""
    for size in range(min(max_match, len(context)), 0, -1):
        suffix = context[-size:]
        followers = [
            text[begin + size]
            for text in texts
            for begin in range(len(text) - size)
            if text[begin : begin + size] == suffix
        ]
        if followers:
            most = max(followers.count(token) for token in followers)
            latest = next(token for token in reversed(followers) if followers.count(token) == most)
            return size, latest
    return 0, -1


def tree_of(texts, max_match):
    tree = SuffixTree(max_match)
    for text in texts:
        tree.begin_text()
        for token in text:
            tree.append(token)
    return tree


def repetitive(max_size):
    """Few different tokens, so that matches are long, branch and repeat themselves."""
    return st.integers(0, 4).flatmap(lambda v: st.lists(st.integers(0, v), max_size=max_size))


@bounded(max_examples=400)
@given(
    texts=st.lists(repetitive(24), min_size=1, max_size=5),
    contexts=st.lists(repetitive(20), min_size=1, max_size=8),
    max_match=st.integers(1, 12),
)
def test_the_longest_match_and_its_most_frequent_next_token_equal_the_slow_search(texts, contexts, max_match):
    tree = tree_of(texts, max_match)
    cuts = [text[:end] for text in texts for end in range(len(text) + 1)]
    for context in [*contexts, *cuts]:
        assert tree.longest_match(context) == slow_match(texts, context, max_match)


@bounded(max_examples=150)
@given(text=repetitive(60), max_match=st.integers(1, 12))
def test_a_growing_text_answers_at_every_length_as_the_slow_search_does(text, max_match):
    tree = SuffixTree(max_match)
    tree.begin_text()
    for end in range(1, len(text) + 1):
        tree.append(text[end - 1])
        assert tree.longest_match(text[:end]) == slow_match([text[:end]], text[:end], max_match)


@bounded(max_examples=200)
@given(texts=st.lists(repetitive(40), max_size=5), max_match=st.integers(1, 20))
def test_there_is_at_most_one_inner_node_a_token(texts, max_match):
    tree = tree_of(texts, max_match)
    assert tree.n_tokens == sum(len(text) for text in texts)
    assert tree.n_nodes <= tree.n_tokens + 1


def test_a_loop_takes_no_more_room_the_longer_it_turns():
    short, long = tree_of([[1, 2, 3] * 20], 8), tree_of([[1, 2, 3] * 400], 8)
    assert short.n_nodes == long.n_nodes


@bounded(max_examples=300)
@given(texts=st.lists(repetitive(12), max_size=4), wanted=repetitive(6).filter(bool))
def test_contains_finds_exactly_what_stands_side_by_side(texts, wanted):
    expected = any(text[i : i + len(wanted)] == wanted for text in texts for i in range(len(text)))
    assert tree_of(texts, 2).contains(wanted) is expected


def test_contains_is_not_fooled_by_bytes_out_of_step():
    assert not tree_of([[1 << 8, 0]], 2).contains([1])
    assert tree_of([[1 << 8, 1]], 2).contains([1])


def test_no_match_reaches_over_the_border_of_two_texts():
    tree = tree_of([[1, 2], [3, 4]], 4)
    assert tree.longest_match([2]) == (0, -1)
    assert tree.longest_match([2, 3]) == (1, 4)
    assert not tree.contains([2, 3])


def test_a_long_context_counts_only_what_followed_itself():
    tree = tree_of([[1, 2, 7], [1, 2, 8], [1, 2, 8], [1, 2, 8], [3, 2, 7], [3, 2, 7], [1, 2, 7]], 4)
    assert tree.longest_match([1, 2]) == (2, 8)
    assert tree.longest_match([2]) == (1, 7)


@pytest.mark.parametrize("max_match", [0, -3])
def test_a_match_of_no_tokens_is_refused(max_match):
    with pytest.raises(ValueError, match=f"max_match must be an integer >= 1, got {max_match}"):
        SuffixTree(max_match)
