import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.suffix.store import SuffixStore
from tests.speculative.drafts.suffix.test_tree import repetitive, slow_match
from tests.support.tiny_models import bounded


class SlowStore:
    """Two lists of texts, the young and the old ones."""

    def __init__(self, max_tokens, max_match):
        self.room, self.max_match = max_tokens // 2, max_match
        self.young, self.old = [], []

    def add(self, text):
        text = text[len(text) - self.room :] if len(text) > self.room else text
        if text and sum(len(other) for other in self.young) + len(text) > self.room:
            self.young, self.old = [], self.young
        self.young.append(text)

    def longest_match(self, context):
        young, old = (slow_match(texts, context, self.max_match) for texts in (self.young, self.old))
        return old if old[0] > young[0] else young


@bounded(max_examples=300)
@given(
    texts=st.lists(repetitive(14), max_size=12),
    contexts=st.lists(repetitive(10), min_size=1, max_size=4),
    max_tokens=st.integers(0, 60),
    max_match=st.integers(1, 8),
)
def test_budget_eviction_and_matches_equal_the_slow_store(texts, contexts, max_tokens, max_match):
    store, slow = SuffixStore(max_tokens, max_match), SlowStore(max_tokens, max_match)
    for text in texts:
        store.add(text)
        slow.add(text)
        assert store.n_tokens == sum(len(text) for text in [*slow.young, *slow.old]) <= max_tokens
        for context in [*contexts, text[:-1]]:
            assert store.longest_match(context) == slow.longest_match(context)
        for wanted in filter(None, [*contexts, text]):
            held = any(
                other[i : i + len(wanted)] == wanted for other in [*slow.young, *slow.old] for i in range(len(other))
            )
            assert store.contains(wanted) is held


def test_the_oldest_texts_go_first_and_none_before_half_the_budget_was_added_after_it():
    store = SuffixStore(max_tokens=12)
    texts = [[10 * i, 10 * i + 1, 10 * i + 2] for i in range(8)]
    held = []
    for text in texts:
        store.add(text)
        held.append([i for i, other in enumerate(texts) if store.contains(other)])
    assert held == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [2, 3, 4], [2, 3, 4, 5], [4, 5, 6], [4, 5, 6, 7]]


def test_of_a_text_longer_than_the_room_the_last_part_is_kept():
    store = SuffixStore(max_tokens=8)
    store.add(list(range(10)))
    assert store.n_tokens == 4
    assert store.contains([6, 7, 8, 9])
    assert not store.contains([5])


def test_a_store_without_room_keeps_nothing():
    store = SuffixStore(max_tokens=0)
    store.add([1, 2, 3])
    assert (store.n_tokens, store.longest_match([1]), store.contains([1])) == (0, (0, -1), False)


def test_a_frozen_store_refuses_texts_until_the_last_block_ends():
    store = SuffixStore()
    with store.frozen():
        with store.frozen():
            pass
        assert store.is_frozen
        with pytest.raises(RuntimeError, match="the store is frozen"):
            store.add([1, 2])
    assert not store.is_frozen
    assert store.n_tokens == 0
    store.add([1, 2])
    assert store.contains([1, 2])


def test_an_error_inside_the_block_thaws_the_store():
    store = SuffixStore()
    with pytest.raises(KeyError), store.frozen():
        raise KeyError
    assert not store.is_frozen


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="max_tokens must be an integer >= 0, got -1"):
        SuffixStore(-1)
    with pytest.raises(ValueError, match="max_match must be an integer >= 1, got 0"):
        SuffixStore(10, 0)
    with pytest.raises(ValueError, match="token ids must be >= 0, got -2"):
        SuffixStore().add([1, -2])
