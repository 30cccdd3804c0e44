"""Stores that outlive their cache: few capacities, memory that is found again, and let go when it is wanted."""

import weakref

import pytest
import torch

from speculative.protocols import kv_cache
from speculative.protocols.kv_cache import CacheShape, KVCache
from speculative.protocols.kv_store import StorePool

SHAPE = CacheShape(1, 2, 1, 4)


@pytest.mark.parametrize(
    ("n_positions", "n_tokens", "capacity"),
    [
        (100_000, 1, 512),
        (100_000, 512, 512),
        (100_000, 513, 2048),
        (100_000, 2049, 8192),
        (100_000, 32_769, 100_352),  # the context in whole steps of 512
        (100_000, 100_353, 100_864),
        (96, 40, 512),
        (4096, 2049, 4096),
    ],
)
def test_capacities_are_few_and_end_at_the_models_context(n_positions, n_tokens, capacity):
    assert StorePool(n_positions).capacity(n_tokens) == capacity


def test_a_cache_that_grows_keeps_what_it_holds_and_leaves_its_memory_to_the_next():
    pool = StorePool(4096)
    cache = KVCache(SHAPE, pool=pool)
    first = cache.store
    cache.keys[:, 1, :, :3] = 7.0
    cache.lengths[1] = 3
    cache.reserve(600)
    assert cache.capacity == 2048
    assert cache.held(1)[0].eq(7.0).all()
    assert cache.held(1)[1].eq(0.0).all()
    cache.add_rows(1)
    assert cache.n_rows == 3
    assert cache.held(1)[0].eq(7.0).all()
    again = KVCache(SHAPE, pool=pool)
    assert again.store is first
    assert not again.keys.any()  # nothing of what it held


def test_a_store_goes_back_when_its_cache_is_gone():
    pool = StorePool(4096)
    cache, other = KVCache(SHAPE, pool=pool), KVCache(SHAPE, pool=pool)
    store = cache.store
    assert other.store is not store
    del cache
    assert KVCache(SHAPE, pool=pool).store is store


def test_free_stores_are_let_go_before_memory_is_refused(monkeypatch):
    pool = StorePool(100_000)
    cache, other = KVCache(SHAPE, pool=pool), KVCache(SHAPE, pool=pool)
    free = weakref.ref(other.store)
    del other
    monkeypatch.setattr(kv_cache, "free_bytes", lambda device: 10)
    assert KVCache(SHAPE, pool=pool).capacity == 512  # its memory is there already
    assert free() is not None
    with pytest.raises(ValueError, match=r"a KV cache of 8192 tokens a row would take 0\.0 GB, but 0\.0 GB are free"):
        cache.reserve(8192)
    assert free() is None
    assert torch.equal(cache.keys, torch.zeros_like(cache.keys))


def test_where_memory_is_short_a_cache_grows_by_no_more_than_it_must(monkeypatch):
    cache = KVCache(SHAPE, pool=StorePool(100_000))
    monkeypatch.setattr(kv_cache, "free_bytes", lambda device: 64 * 2047)  # bytes a slot times tokens
    cache.check_room(1000)
    cache.reserve(1000)
    assert cache.capacity == 1024
    with pytest.raises(ValueError, match="a KV cache of 2048 tokens a row would take"):
        cache.check_room(2048)
