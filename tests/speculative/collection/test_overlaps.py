"""How much of a draft's distribution is the target's, from a pass of each over the text."""

import numpy as np
import pytest
import torch

from rewards import DistributionOverlap, ExpectedAcceptanceLength
from speculative.collection.collect import collect
from speculative.collection.overlaps import overlaps_of
from speculative.collection.settings import CollectSettings
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.drafts.draft_model import DraftModel
from speculative.pools.pool import Pool
from speculative.protocols.token_batch import TokenBatch
from speculative.targets.target_arm import drafts_of
from tests.support.tiny_pool import N_VOCAB, plain_costs, queries, save_pool

COSTS = plain_costs("prompt_lookup", "draft_small")
WITH = CollectSettings(overlaps=True)
PROMPT, NEW = (99, 97, 98), (97, 98, 99, 97, 98, 255, 3)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


def distribution(model, prefix):
    batch = TokenBatch(torch.tensor(prefix), [len(prefix)])
    return model.forward(batch, model.new_cache(1)).logits[-1].double().softmax(-1)


def test_an_overlap_is_the_sum_of_the_lower_of_both_probabilities(pool):
    draft, target = pool.arms["draft_small_2"].draft, pool.target
    found = overlaps_of(drafts_of(pool.arms), target, PROMPT, NEW)
    assert set(found) == {"draft_small"}  # look-ups draw from no distribution
    prefixes = [(*PROMPT, *NEW[:j]) for j in range(1, len(NEW))]
    expected = [
        float(torch.minimum(distribution(target.model, prefix), distribution(draft.model, prefix)).sum())
        for prefix in prefixes
    ]
    np.testing.assert_allclose(found["draft_small"], expected, atol=1e-5)
    assert 0 < min(expected) < max(expected) < 1


def test_the_target_overlaps_with_itself_at_every_token(pool):
    target = pool.target
    itself = DraftModel(target.model, name="itself", n_target_vocab=N_VOCAB)
    np.testing.assert_allclose(overlaps_of([itself], target, PROMPT, NEW)["itself"], 1.0, atol=1e-5)
    assert overlaps_of([itself], target, PROMPT, NEW[:1])["itself"].shape == (0,)
    assert overlaps_of(drafts_of(list(pool.arms)[:3]), target, PROMPT, NEW) == {}


def test_collected_overlaps_are_stored_and_valued_without_a_model(pool, tmp_path):
    data = collect(queries(3), pool, tmp_path, COSTS, settings=WITH)
    [traces] = read_trace_parts(tmp_path / TRACES)
    for trace, row in zip(traces, data.observations, strict=True):
        kept = trace.drafts["draft_small"].overlaps
        again = overlaps_of(drafts_of(pool.arms), pool.target, trace.prompt_ids, trace.new_ids)["draft_small"]
        np.testing.assert_array_equal(kept, again)
        assert row[3].overlaps == pytest.approx(kept.tolist(), abs=5e-5)
        assert row[0].overlaps == row[1].overlaps == ()
        assert len(row[3].overlaps) == row[3].n_tokens - 1
    shares = data.with_reward(DistributionOverlap(missing=0)).rewards
    lengths = data.with_reward(ExpectedAcceptanceLength(2, missing=1)).rewards
    assert (shares[:, :3] == 0).all()
    assert (lengths[:, 3] > 1 + shares[:, 3] - 1e-9).all()
    with pytest.raises(ValueError, match=r"arm 'no_draft' on query 'q0': overlaps .* are missing"):
        data.with_reward(DistributionOverlap())


def test_a_collection_begun_without_overlaps_is_refused_by_name(pool, tmp_path):
    collect(queries(2), pool, tmp_path, COSTS)
    with pytest.raises(ValueError, match="was begun with other overlaps"):
        collect(queries(2), pool, tmp_path, COSTS, settings=WITH)
