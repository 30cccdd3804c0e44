"""Contexts from a prefill: states of unit length, and what the prompt is like."""

import numpy as np
import pytest
import torch

from speculative.collection.tracing import trace_queries
from speculative.pools.pool import Pool
from speculative.protocols.token_batch import TokenBatch
from speculative.targets.hidden_state_encoder import HiddenStateEncoder
from speculative.targets.text_features import TEXT_FEATURES, text_features
from tests.support.tiny_pool import queries, save_pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


@pytest.fixture(scope="module")
def encoder(pool):
    return HiddenStateEncoder(pool.target)


def test_the_columns_are_the_mean_and_the_last_state_and_the_text_features(pool, encoder):
    [query] = queries(1)
    request = pool.target.request(query)
    tokens = torch.tensor(request.token_ids)
    hidden = pool.target.model.forward(TokenBatch(tokens, [len(tokens)]), pool.target.model.new_cache(1)).hidden
    [row] = encoder.encode([query.text])
    assert list(encoder.groups) == ["hidden mean", "last hidden state", *TEXT_FEATURES]
    assert [column for columns in encoder.groups.values() for column in columns] == list(range(encoder.n_features))
    for part, state in (("hidden mean", hidden.mean(0)), ("last hidden state", hidden[-1])):
        np.testing.assert_allclose(row[list(encoder.groups[part])], state / state.norm(), atol=1e-5)
    np.testing.assert_array_equal(row[-len(TEXT_FEATURES) :], text_features(query.text, request.token_ids))


def test_a_prefill_gives_what_reading_the_text_gives(pool, encoder):
    asked = queries(4)
    traces = trace_queries(asked, pool.arms, encoder)
    read = encoder.encode([query.text for query in asked])
    np.testing.assert_allclose([trace.context for trace in traces], read, atol=1e-5)


def test_text_features_are_length_repetition_code_and_digits():
    length, repeated, code, digits = text_features("a[0] = 12", [5, 6, 7, 5, 6, 7, 5, 6])
    assert length == pytest.approx(np.log(8) / 10)
    assert repeated == pytest.approx(0.5)  # three of six 3-grams are new
    assert code == pytest.approx(3 / 9)
    assert digits == pytest.approx(3 / 9)
    assert text_features("", [1]).tolist() == [0.0, 0.0, 0.0, 0.0]
