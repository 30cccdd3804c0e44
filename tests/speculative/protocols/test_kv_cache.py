import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.protocols import kv_cache
from speculative.protocols.kv_cache import CacheShape, KVCache
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_models import N_VOCAB, bounded


def filled(n_rows=3, capacity=4, growth=4):
    cache = KVCache(CacheShape(2, n_rows, 1, 2), capacity=capacity, growth=growth)
    generator = torch.Generator().manual_seed(0)
    cache.keys.copy_(torch.randn(cache.keys.shape, generator=generator))
    cache.values.copy_(torch.randn(cache.values.shape, generator=generator))
    return cache


def test_growing_keeps_what_is_held_and_comes_in_whole_steps():
    cache = filled(capacity=4, growth=4)
    keys, values = cache.keys.clone(), cache.values.clone()
    cache.reserve(4)
    assert cache.capacity == 4
    cache.reserve(9)
    assert cache.capacity == 12
    assert torch.equal(cache.keys[..., :4, :], keys)
    assert torch.equal(cache.values[..., :4, :], values)
    assert cache.n_bytes == 2 * 2 * 3 * 12 * 1 * 2 * 4


def test_added_rows_are_empty_and_the_others_keep_what_they_hold():
    cache = filled(n_rows=2)
    cache.lengths = [1, 3]
    held = [cache.held(0), cache.held(1)]
    cache.add_rows(2)
    assert (cache.n_rows, cache.lengths) == (4, [1, 3, 0, 0])
    assert torch.equal(cache.held(0), held[0])
    assert torch.equal(cache.held(1), held[1])
    assert not cache.keys[:, 2:].any()
    cache.reserve(5)
    assert cache.n_bytes == 2 * 2 * 4 * 8 * 1 * 2 * 4


def test_a_moved_row_replaces_the_other_and_leaves_its_own_free():
    cache = filled()
    cache.lengths = [1, 2, 3]
    last, between = cache.held(2), cache.held(1)
    cache.move(2, 0)
    assert cache.lengths == [3, 2, 0]
    assert torch.equal(cache.held(0), last)
    assert torch.equal(cache.held(1), between)


@pytest.mark.parametrize("length", [-1, 3])
def test_a_row_cannot_be_cut_to_what_it_does_not_hold(length):
    cache = filled()
    cache.lengths[1] = 2
    with pytest.raises(ValueError, match=f"row 1 holds 2 tokens, cannot be cut to {length}"):
        cache.truncate(1, length)


@pytest.mark.parametrize(("n_rows", "capacity"), [(0, 4), (1, 0)])
def test_an_empty_cache_is_refused(n_rows, capacity):
    with pytest.raises(ValueError, match="n_rows >= 1 and capacity >= 1"):
        KVCache(CacheShape(1, n_rows, 1, 2), capacity=capacity)


tokens = st.lists(st.integers(0, N_VOCAB - 1), min_size=1, max_size=6)
schedules = st.lists(st.tuples(tokens, st.integers(0, 6)), min_size=1, max_size=8)


@bounded(max_examples=60)
@given(schedules=st.lists(schedules, min_size=1, max_size=3), capacity=st.integers(1, 12))
def test_append_then_roll_back_is_never_appended(tiny, schedules, capacity):
    """Rows append and roll back in turns, in a batch; each then equals one that read its tokens at once."""
    decoder = tiny("qwen3").decoder
    cache = decoder.new_cache(len(schedules), capacity)
    kept = [[] for _ in schedules]
    for turn in range(max(map(len, schedules))):
        plan = [schedule[min(turn, len(schedule) - 1)] for schedule in schedules]
        flat = torch.tensor([token for new, _ in plan for token in new])
        decoder.forward(TokenBatch(flat, [len(new) for new, _ in plan]), cache)
        for row, (new, n_back) in enumerate(plan):
            kept[row] = (kept[row] + new)[: max(0, cache.lengths[row] - n_back)]
            cache.truncate(row, len(kept[row]))
    for row, text in enumerate(kept):
        assert cache.lengths[row] == len(text)
        if not text:
            continue
        fresh = decoder.new_cache(1)
        decoder.forward(TokenBatch(torch.tensor(text), [len(text)]), fresh)
        torch.testing.assert_close(cache.held(row), fresh.held(0), atol=1e-5, rtol=0.0)


def test_a_cache_that_memory_cannot_hold_is_refused_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(kv_cache, "free_bytes", lambda device: 10_000)
    with pytest.raises(ValueError, match=r"a KV cache of 100 tokens a row would take 0\.0 GB, but 0\.0 GB are free"):
        KVCache(CacheShape(2, 3, 2, 4), capacity=100)  # 2 x 2 x 3 x 100 x 2 x 4 floats: 38,400 bytes
    cache = KVCache(CacheShape(2, 1, 2, 4), capacity=20, growth=20)
    assert cache.n_bytes == 2560
    cache.check_room(80)  # 10,240 bytes: 10,000 are free and 1,280 come free while it grows
    with pytest.raises(ValueError, match="a KV cache of 100 tokens a row"):
        cache.reserve(81)
    assert cache.capacity == 20


def test_the_memory_needed_is_said_in_numbers():
    with pytest.raises(ValueError, match=r"would take 4000000\.0 GB, but [0-9.]+ GB are free; shorten"):
        KVCache(CacheShape(1, 1, 1, 500), capacity=10**12)


def test_wiping_a_row_leaves_no_leftover_behind():
    cache = KVCache(CacheShape(1, 2, 1, 2), capacity=3)
    cache.keys.fill_(float("nan"))
    cache.values.fill_(float("nan"))
    cache.lengths = [2, 3]
    cache.wipe(1)
    assert cache.lengths == [2, 0]
    assert not cache.keys[:, 1].any()
    assert not cache.values[:, 1].any()
    assert bool(cache.keys[:, 0].isnan().all())
    cache.keys.fill_(float("nan"))
    cache.wipe(0, 2)
    assert cache.lengths == [2, 0]
    assert not cache.keys[:, 0, :, 2:].any()
    assert bool(cache.keys[:, 0, :, :2].isnan().all())


def test_exchanged_rows_hold_each_what_the_other_held():
    cache = filled()
    cache.lengths = [1, 2, 3]
    held = [cache.held(row) for row in range(3)]
    cache.swap(0, 2)
    assert cache.lengths == [3, 2, 1]
    for row, other in enumerate((2, 1, 0)):
        assert torch.equal(cache.held(row), held[other])


def test_a_copied_row_holds_the_first_tokens_of_the_other():
    cache = filled()
    cache.lengths = [3, 1, 0]
    first = cache.held(0, 0, 2)
    cache.copy(0, 2, 2)
    assert cache.lengths == [3, 1, 2]
    assert torch.equal(cache.held(2), first)


def test_what_was_held_is_put_back_and_the_cache_grows_for_it():
    cache, larger = filled(), filled(capacity=8)
    larger.lengths = [6, 0, 0]
    cache.lengths = [0, 2, 0]
    other = cache.held(1)
    cache.put(0, larger.held(0))
    assert (cache.lengths, cache.capacity) == ([6, 2, 0], 8)
    assert torch.equal(cache.held(0), larger.held(0))
    assert torch.equal(cache.held(1), other)
