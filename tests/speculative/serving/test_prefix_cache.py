"""What a cache saves is told from the times to the first token, and nothing is where there is no cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.serving.prefix_cache import BLOCK, MOST_BLOCKS, PrefixCache, blocks_of


def read_all(cache, known_s, new_s=1e-4):
    """Let an arm read conversations that grow, each character at its price."""
    for number in range(12):
        text = ""
        for turn in range(3):
            before = len(text) // BLOCK * BLOCK
            text += f"{number} {turn} ".ljust(BLOCK * (number % 4 + 1), "x")
            cache.answered(blocks_of(text), 0.05 + new_s * (len(text) - before) + known_s * before)
    return blocks_of(text)


def test_saved_is_the_price_of_the_shared_prefix_less_what_it_costs_still():
    cache = PrefixCache()
    last = read_all(cache, known_s=1e-5)
    assert cache.saved_s(last) == pytest.approx(9e-5 * BLOCK * len(last), rel=1e-3)
    assert cache.saved_s(last[:2]) == pytest.approx(9e-5 * BLOCK * 2, rel=1e-3)
    assert cache.saved_s(blocks_of("another text" * BLOCK)) == 0.0


def test_an_engine_without_a_cache_saves_nothing():
    cache = PrefixCache()
    last = read_all(cache, known_s=1e-4)
    assert cache.saved_s(last) == pytest.approx(0.0, abs=1e-4)


def test_before_enough_was_seen_nothing_is_said_and_whole_answers_say_nothing_of_the_first_token():
    cache = PrefixCache()
    for number in range(50):
        cache.answered(blocks_of(f"{number}" * BLOCK), None)
    assert (cache.n_seen, cache.saved_s(blocks_of("1" * BLOCK))) == (0, 0.0)


def test_the_oldest_texts_are_forgotten_from_their_ends():
    cache = PrefixCache()
    last = read_all(cache, known_s=1e-5)
    whole = cache.saved_s(last)
    cache.answered(list(range(MOST_BLOCKS - len(last) + 1)), None)
    assert cache.saved_s(last) == pytest.approx(whole * (len(last) - 1) / len(last))
    cache.answered(list(range(MOST_BLOCKS)), None)
    assert cache.saved_s(last) == 0.0


@given(st.text(max_size=3 * BLOCK), st.text(max_size=3 * BLOCK))
def test_the_blocks_of_a_text_begin_with_those_of_every_prefix_and_tell_texts_apart(first, second):
    blocks, longer = blocks_of(first), blocks_of(first + second)
    assert longer[: len(blocks)] == blocks
    assert len(longer) == len(first + second) // BLOCK
    if first[:BLOCK] != second[:BLOCK] and blocks and blocks_of(second):
        assert blocks[0] != blocks_of(second)[0]
